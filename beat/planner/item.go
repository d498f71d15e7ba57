package planner

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"crisper/beat"
)

// item is one entry's place in the plan. It is in the queue, in the batch (offered)
// or in a question, or it is never due.
type item struct {
	entry   Entry
	record  beat.Record
	handled time.Time // due moments up to here are settled: the record's, or dropped ones'
	at      time.Time // when to look at it; orders the queue
	place   int       // in the queue; -1: not in it

	offered bool
	gone    bool // no longer an entry: what is offered of it is let go

	// For schedules that Python is asked about.
	question uint64        // not answered yet; 0: none
	due      time.Time     // what it answered; zero: to be asked
	pause    time.Duration // and when to ask again after that tick
}

func newItem(e Entry, r beat.Record, now time.Time) *item {
	if r.Last.IsZero() {
		r.Last = now
	}
	return &item{entry: e, record: r, handled: r.Last, place: -1}
}

// same says whether a reload left the entry as it was.
func (it *item) same(e Entry) bool {
	return it.entry.Policy == e.Policy && it.entry.Schedule.String() == e.Schedule.String()
}

// why is the reason of what schedule.Due left out.
func (it *item) why(now time.Time, due []time.Time) Reason {
	switch policy := it.entry.Policy; {
	case now.Sub(it.entry.Schedule.Next(it.handled)) > policy.Window:
		return Gap
	case policy.Max > 0 && len(due) == policy.Max:
		return Limit
	}
	return Deadline
}

// enqueue puts an item where its next due moment belongs, unless somebody is
// expected to answer about it.
func (p *Planner) enqueue(now time.Time, it *item) {
	if it.offered || it.gone || it.question != 0 {
		return
	}
	switch {
	case !it.entry.Asks():
		it.at = it.entry.Schedule.Next(it.handled)
	case !it.due.IsZero():
		it.at = it.due
	default:
		it.at = now
	}
	p.queueAt(it)
}

// queueAt moves an item to its time, in the queue or into it.
func (p *Planner) queueAt(it *item) {
	switch {
	case it.at.IsZero() && it.place >= 0:
		heap.Remove(&p.queue, it.place)
	case it.at.IsZero():
	case it.place >= 0:
		heap.Fix(&p.queue, it.place)
	default:
		heap.Push(&p.queue, it)
	}
}

// queue holds items by time, then by name, so that a script plays the same each time.
type queue []*item

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return compare(q[i], q[j]) < 0 }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push and Pop are for package heap.
func (q *queue) Push(x any) {
	it := x.(*item)
	it.place = len(*q)
	*q = append(*q, it)
}

// Pop takes the last.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	last.place = -1
	*q = slices.Delete(*q, len(*q)-1, len(*q))
	return last
}

func (q *queue) pop() *item { return heap.Pop(q).(*item) }

func compare(a, b *item) int {
	if c := a.at.Compare(b.at); c != 0 {
		return c
	}
	return cmp.Compare(a.entry.Name, b.entry.Name)
}
