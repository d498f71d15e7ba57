package planner

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"
	"time"

	"crisper/beat"
	"crisper/beat/schedule"
)

// Coming is a due moment to come.
type Coming struct {
	Entry string
	Due   time.Time
}

// Preview goes through the due moments after from and not after until, in order of
// time, then of name. Every entry is taken as last run at from. Entries that Python
// has to be asked about are left out.
func Preview(entries []Entry, from, until time.Time) iter.Seq[Coming] {
	return func(yield func(Coming) bool) {
		q := make(queue, 0, len(entries))
		for _, e := range entries {
			it := &item{entry: e, at: e.Schedule.Next(from)}
			if it.within(until) {
				q.Push(it)
			}
		}
		heap.Init(&q)
		for len(q) > 0 {
			it := q[0]
			if !yield(Coming{Entry: it.entry.Name, Due: it.at}) {
				return
			}
			if it.at = it.entry.Schedule.Next(it.at); it.within(until) {
				heap.Fix(&q, 0)
			} else {
				q.pop()
			}
		}
	}
}

func (it *item) within(until time.Time) bool { return !it.at.IsZero() && !it.at.After(until) }

// Asks says whether Python has to be asked about the entry.
func (e Entry) Asks() bool {
	_, ok := e.Schedule.(schedule.Asked)
	return ok
}

// Status is what is known of an entry now.
type Status struct {
	Entry  string
	Record beat.Record
	Next   time.Time // zero: never, offered to the store, or a question to Python is open
}

// Status lists the entries by their next moment, then by name; those without come
// last. It looks at all of them: it is for people.
func (p *Planner) Status() []Status {
	all := make([]Status, 0, len(p.items))
	for name, it := range p.items {
		s := Status{Entry: name, Record: it.record}
		if it.place >= 0 {
			s.Next = it.at
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Status) int {
		if a.Next.IsZero() != b.Next.IsZero() {
			return b.Next.Compare(a.Next)
		}
		return cmp.Or(a.Next.Compare(b.Next), cmp.Compare(a.Entry, b.Entry))
	})
	return all
}

// Len is how many entries there are.
func (p *Planner) Len() int { return len(p.items) }
