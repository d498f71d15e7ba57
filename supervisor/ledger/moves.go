package ledger

import (
	"container/heap"
	"fmt"
	"slices"

	"crisper/broker"
)

// Get returns the entry of a seq, nil if there is none.
func (l *Ledger[T]) Get(seq Seq) *Entry[T] { return l.bySeq[seq] }

// ByTag returns the entry of a tag, nil if there is none.
func (l *Ledger[T]) ByTag(tag broker.Tag) *Entry[T] { return l.byTag[tag] }

// Sent returns what a child holds, oldest first. The slice is the ledger's.
func (l *Ledger[T]) Sent(child Child) []*Entry[T] { return l.sent[child] }

// Count is how many entries are in a place; Len how many there are.
func (l *Ledger[T]) Count(p Place) int { return l.counts[p] }

// AcceptedCount is how many entries are Accepted and not yet settling: Celery
// would not count them as unacknowledged any more.
func (l *Ledger[T]) AcceptedCount() int { return l.accepted }

func (l *Ledger[T]) unaccept(e *Entry[T]) {
	if e.Accepted && e.Place != Settling {
		l.accepted--
	}
}

// Len is the number of deliveries in our hands.
func (l *Ledger[T]) Len() int { return len(l.bySeq) }

// InPlace returns the entries of a place in the order in which they were taken.
func (l *Ledger[T]) InPlace(p Place) []*Entry[T] {
	var out []*Entry[T]
	for _, e := range l.bySeq {
		if e.Place == p {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *Entry[T]) int { return int(int64(a.Seq) - int64(b.Seq)) })
	return out
}

// leave takes an entry out of its place if that is one of from.
func (l *Ledger[T]) leave(e *Entry[T], from ...Place) error {
	if l.bySeq[e.Seq] != e || !slices.Contains(from, e.Place) {
		return fmt.Errorf("cannot move delivery %d that is %s: %w", e.Seq, e.Place, ErrPlace)
	}
	l.remove(e)
	return nil
}

// remove takes an entry off the list of its place.
func (l *Ledger[T]) remove(e *Entry[T]) {
	l.counts[e.Place]--
	switch e.Place {
	case Reserved:
		l.reserved.remove(e)
	case Scheduled:
		heap.Remove(&l.scheduled, e.heapAt)
	case Queued, Active:
		q := l.sent[e.Child]
		if i := slices.Index(q, e); i >= 0 {
			l.sent[e.Child] = slices.Delete(q, i, i+1)
		}
	}
}

func (l *Ledger[T]) enter(e *Entry[T], p Place) {
	e.Place = p
	l.counts[p]++
}

func (l *Ledger[T]) returnToFront(q []*Entry[T]) {
	for i := len(q) - 1; i >= 0; i-- {
		e := q[i]
		l.counts[e.Place]--
		e.Child = 0
		l.enter(e, Reserved)
		l.reserved.pushFront(e)
	}
}

func (l *Ledger[T]) drop(e *Entry[T]) {
	l.unaccept(e)
	l.remove(e)
	l.forget(e)
}

func (l *Ledger[T]) forget(e *Entry[T]) {
	delete(l.bySeq, e.Seq)
	if l.byTag[e.Delivery.Tag] == e {
		delete(l.byTag, e.Delivery.Tag)
	}
	e.Place = Nowhere
}

func popFirst[T any](q []*Entry[T]) []*Entry[T] {
	copy(q, q[1:])
	q[len(q)-1] = nil
	return q[:len(q)-1]
}

// schedule is a heap by due time, then by the order of taking.
type schedule[T any] []*Entry[T]

func (s schedule[T]) Len() int { return len(s) }
func (s schedule[T]) Less(i, j int) bool {
	if s[i].Due.Equal(s[j].Due) {
		return s[i].Seq < s[j].Seq
	}
	return s[i].Due.Before(s[j].Due)
}
func (s schedule[T]) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].heapAt, s[j].heapAt = i, j
}
func (s *schedule[T]) Push(x any) {
	e := x.(*Entry[T])
	e.heapAt = len(*s)
	*s = append(*s, e)
}
func (s *schedule[T]) Pop() any {
	old := *s
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return e
}

// deque is a ring that grows. Removal from the middle is rare (a lost
// delivery) and may cost a walk.
type deque[T any] struct {
	ring []*Entry[T]
	head int
	n    int
}

func (d *deque[T]) at(i int) **Entry[T] { return &d.ring[(d.head+i)%len(d.ring)] }

func (d *deque[T]) front() *Entry[T] {
	if d.n == 0 {
		return nil
	}
	return *d.at(0)
}

func (d *deque[T]) grow() {
	if d.n < len(d.ring) {
		return
	}
	bigger := make([]*Entry[T], max(16, 2*len(d.ring)))
	for i := range d.n {
		bigger[i] = *d.at(i)
	}
	d.ring, d.head = bigger, 0
}

func (d *deque[T]) pushBack(e *Entry[T]) {
	d.grow()
	*d.at(d.n) = e
	d.n++
}

func (d *deque[T]) pushFront(e *Entry[T]) {
	d.grow()
	d.head = (d.head + len(d.ring) - 1) % len(d.ring)
	d.ring[d.head] = e
	d.n++
}

func (d *deque[T]) remove(e *Entry[T]) {
	if d.n > 0 && *d.at(0) == e {
		*d.at(0) = nil
		d.head = (d.head + 1) % len(d.ring)
		d.n--
		return
	}
	for i := range d.n {
		if *d.at(i) != e {
			continue
		}
		for j := i; j < d.n-1; j++ {
			*d.at(j) = *d.at(j + 1)
		}
		*d.at(d.n - 1) = nil
		d.n--
		return
	}
}
