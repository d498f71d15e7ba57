package ledger

import (
	"container/heap"
	"errors"
	"fmt"
	"time"

	"crisper/broker"
)

// Errors that mean a bug in the caller or a lie of a child.
var (
	ErrTwice   = errors.New("this delivery is in our books already")
	ErrPlace   = errors.New("a delivery cannot go there from where it is")
	ErrNotNext = errors.New("a child reported a task that is not its next")
)

// Ledger is the book. The zero value is not usable; call New.
type Ledger[T any] struct {
	next      Seq
	bySeq     map[Seq]*Entry[T]
	byTag     map[broker.Tag]*Entry[T]
	reserved  deque[T]
	scheduled schedule[T]
	sent      map[Child][]*Entry[T] // oldest first; Queued and at most one Active at its head
	counts    [places]int
	accepted  int // entries that are Accepted and not yet settling
}

// New returns an empty ledger.
func New[T any]() *Ledger[T] {
	return &Ledger[T]{
		bySeq: make(map[Seq]*Entry[T]),
		byTag: make(map[broker.Tag]*Entry[T]),
		sent:  make(map[Child][]*Entry[T]),
	}
}

// Take enters a delivery. It is nowhere until it is reserved, scheduled or settled.
// One that came Started is accepted already.
func (l *Ledger[T]) Take(d broker.Delivery) (*Entry[T], error) {
	if _, ok := l.byTag[d.Tag]; ok {
		return nil, fmt.Errorf("cannot take delivery %s: %w", d.Tag, ErrTwice)
	}
	l.next++
	e := &Entry[T]{Seq: l.next, Delivery: d}
	l.bySeq[e.Seq], l.byTag[d.Tag] = e, e
	l.counts[Nowhere]++
	if d.Started {
		e.Early, e.Accepted = true, true
		l.accepted++
	}
	return e, nil
}

// Reserve puts an entry at the end of the line.
func (l *Ledger[T]) Reserve(e *Entry[T]) error {
	if err := l.leave(e, Nowhere, Scheduled); err != nil {
		return err
	}
	l.enter(e, Reserved)
	l.reserved.pushBack(e)
	return nil
}

// Schedule keeps an entry until due.
func (l *Ledger[T]) Schedule(e *Entry[T], due time.Time) error {
	if err := l.leave(e, Nowhere); err != nil {
		return err
	}
	e.Due = due
	l.enter(e, Scheduled)
	heap.Push(&l.scheduled, e)
	return nil
}

// Due returns the entries whose time has come, earliest first. They are nowhere
// then: the caller reserves or settles each of them.
func (l *Ledger[T]) Due(now time.Time) []*Entry[T] {
	var due []*Entry[T]
	for len(l.scheduled) > 0 && !l.scheduled[0].Due.After(now) {
		due = append(due, l.scheduled[0])
		e := heap.Pop(&l.scheduled).(*Entry[T])
		e.heapAt = -1
		l.enter(e, Nowhere)
		l.counts[Scheduled]--
	}
	return due
}

// NextDue is when Due has something to return; false when nothing is scheduled.
func (l *Ledger[T]) NextDue() (time.Time, bool) {
	if len(l.scheduled) == 0 {
		return time.Time{}, false
	}
	return l.scheduled[0].Due, true
}

// Front is the next reserved entry, nil if there is none.
func (l *Ledger[T]) Front() *Entry[T] { return l.reserved.front() }

// Accept promises a reserved, early-acknowledged entry to a child while the
// broker is being told.
func (l *Ledger[T]) Accept(e *Entry[T], child Child) error {
	if !e.Early || e.Accepted {
		return fmt.Errorf("cannot accept delivery %d: %w", e.Seq, ErrPlace)
	}
	if err := l.leave(e, Reserved); err != nil {
		return err
	}
	e.Child = child
	l.enter(e, Accepting)
	return nil
}

// Accepted notes that the broker has been told, and puts the entry back in
// front of the line, whence it is sent.
func (l *Ledger[T]) Accepted(e *Entry[T]) error {
	if err := l.leave(e, Accepting); err != nil {
		return err
	}
	e.Accepted, e.Child = true, 0
	l.accepted++
	l.enter(e, Reserved)
	l.reserved.pushFront(e)
	return nil
}

// Send notes that a reserved entry lies in a child's socket.
func (l *Ledger[T]) Send(e *Entry[T], child Child) error {
	if e.Early && !e.Accepted {
		return fmt.Errorf("cannot send delivery %d before it is accepted: %w", e.Seq, ErrPlace)
	}
	if err := l.leave(e, Reserved); err != nil {
		return err
	}
	e.Child = child
	l.enter(e, Queued)
	l.sent[child] = append(l.sent[child], e)
	return nil
}

// Begin notes that the child started its next task.
func (l *Ledger[T]) Begin(child Child, seq Seq) (*Entry[T], error) {
	q := l.sent[child]
	if len(q) == 0 || q[0].Seq != seq || q[0].Place != Queued {
		return nil, fmt.Errorf("cannot begin task %d in child %d: %w", seq, child, ErrNotNext)
	}
	l.counts[Queued]--
	l.enter(q[0], Active)
	return q[0], nil
}

// End notes that the child reported the end of its active task. The entry is
// nowhere then: the caller settles it.
func (l *Ledger[T]) End(child Child, seq Seq) (*Entry[T], error) {
	q := l.sent[child]
	if len(q) == 0 || q[0].Seq != seq || q[0].Place != Active {
		return nil, fmt.Errorf("cannot end task %d in child %d: %w", seq, child, ErrNotNext)
	}
	e := q[0]
	l.sent[child] = popFirst(q)
	l.counts[Active]--
	e.Child = 0
	l.enter(e, Nowhere)
	return e, nil
}

// TakeBack returns to the front of the line what a child has not begun, in the
// old order: the given seqs, as the kernel gave them back from its socket.
//
// They need not be the last ones. The socket is emptied packet by packet while the
// child goes on reading: between two of our reads it may get one that stands
// between them.
func (l *Ledger[T]) TakeBack(child Child, seqs []Seq) error {
	kept, back := make([]*Entry[T], 0, len(l.sent[child])), make([]*Entry[T], 0, len(seqs))
	for _, e := range l.sent[child] {
		if len(back) < len(seqs) && e.Seq == seqs[len(back)] && e.Place == Queued {
			back = append(back, e)
		} else {
			kept = append(kept, e)
		}
	}
	if len(back) < len(seqs) {
		return fmt.Errorf("cannot take task %d back from child %d: %w", seqs[len(back)], child, ErrNotNext)
	}
	l.returnToFront(back)
	l.sent[child] = kept
	return nil
}

// Bury ends a child's account: what it had not begun goes back to the front of
// the line, what it was doing is returned (nil if nothing) and is nowhere.
func (l *Ledger[T]) Bury(child Child) *Entry[T] {
	q := l.sent[child]
	delete(l.sent, child)
	var active *Entry[T]
	if len(q) > 0 && q[0].Place == Active {
		active, q = q[0], q[1:]
		l.counts[Active]--
		active.Child = 0
		l.enter(active, Nowhere)
	}
	l.returnToFront(q)
	return active
}

// Withdraw takes an entry that no child holds out of the line, the schedule or
// the steward's hands. It is nowhere then: the caller reports or settles it.
func (l *Ledger[T]) Withdraw(e *Entry[T]) error {
	if err := l.leave(e, Nowhere, Reserved, Scheduled, Reporting); err != nil {
		return err
	}
	l.enter(e, Nowhere)
	return nil
}

// Surrender ends the account of a child that cannot be believed: all that it
// held is returned, oldest first, and is nowhere; nobody knows what it has run.
func (l *Ledger[T]) Surrender(child Child) []*Entry[T] {
	q := l.sent[child]
	delete(l.sent, child)
	for _, e := range q {
		l.counts[e.Place]--
		e.Child = 0
		l.enter(e, Nowhere)
	}
	return q
}

// Report notes that the steward is being asked to record what became of it.
func (l *Ledger[T]) Report(e *Entry[T]) error {
	if err := l.leave(e, Nowhere); err != nil {
		return err
	}
	l.enter(e, Reporting)
	return nil
}

// Settle notes the verdict that the broker is being told. It fails for an entry
// that a child holds, that is settling already, or that is lost.
func (l *Ledger[T]) Settle(e *Entry[T], verb broker.Verb) error {
	if e.Lost {
		return fmt.Errorf("cannot settle delivery %d that is not ours any more: %w", e.Seq, ErrPlace)
	}
	if err := l.leave(e, Nowhere, Reserved, Scheduled, Reporting); err != nil {
		return err
	}
	e.Verb = verb
	l.unaccept(e)
	l.enter(e, Settling)
	return nil
}

// Settled closes an entry: the broker confirmed.
func (l *Ledger[T]) Settled(e *Entry[T]) error {
	if err := l.leave(e, Settling); err != nil {
		return err
	}
	l.forget(e)
	return nil
}

// Lose notes that the broker gave this delivery to somebody else. Entries that
// no child holds are dropped; an active one is marked, so that its end settles
// nothing. It returns the entry, or nil for a tag that is not in our books.
func (l *Ledger[T]) Lose(tag broker.Tag) *Entry[T] {
	e := l.byTag[tag]
	if e == nil {
		return nil
	}
	e.Lost = true
	delete(l.byTag, tag) // it may come back to us as a new delivery
	switch e.Place {
	case Queued, Active, Reporting, Accepting:
		// A child, the steward or an accept under way still refers to it.
	default:
		l.drop(e)
	}
	return e
}

// Drop closes an entry without a verdict: only a lost one may go like this.
func (l *Ledger[T]) Drop(e *Entry[T]) error {
	if !e.Lost {
		return fmt.Errorf("cannot drop delivery %d unsettled: %w", e.Seq, ErrPlace)
	}
	l.drop(e)
	return nil
}
