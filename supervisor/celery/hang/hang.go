package hang

import (
	"fmt"
	"time"
)

// Silence is after how long without a word a worker's loop is taken to stand still:
// an agent speaks once a second.
const Silence = 5 * time.Second

// Late is how late a taking may be told, at the latest: by a worker whose loop stands
// still, and which others read.
const Late = 2 * time.Second

// Room is whether the transport would take one more.
type Room uint8

// The answers.
const (
	Unknown Room = iota
	Full
	Free
)

// Report is what an agent says of its worker.
type Report struct {
	Room   Room
	Active int // tasks that run
	Queues []string
}

// Hung is a verdict.
type Hung struct {
	Child  uint64
	Deaf   bool
	Detail string // for people
}

// Watch watches the workers of one pool.
type Watch struct {
	limit    time.Duration
	measured time.Time // last, successfully
	order    []uint64  // so that verdicts come in the same order each time
	children map[uint64]*child
}

type child struct {
	shared bool // tasks run in the loop's own process
	heard  time.Time
	report Report
	since  time.Time // nothing was taken although it could; zero: it is not so
}

// New returns a watch. limit 0: nobody is ever found to hang.
func New(limit time.Duration) *Watch {
	return &Watch{limit: limit, children: map[uint64]*child{}}
}

// Ready: a worker takes tasks from now on. pool is Celery's name for the kind of its
// pool (prefork, solo, …).
func (w *Watch) Ready(now time.Time, id uint64, pool string) {
	if w.children[id] == nil {
		w.order = append(w.order, id)
	}
	w.children[id] = &child{shared: pool != "prefork" && pool != "processes", heard: now}
}

// Said is a report.
func (w *Watch) Said(now time.Time, id uint64, r Report) {
	if c := w.children[id]; c != nil {
		c.heard, c.report = now, r
	}
}

// Took: it has taken a delivery, so whatever was is over.
func (w *Watch) Took(now time.Time, id uint64) {
	if c := w.children[id]; c != nil {
		c.heard, c.since = now, time.Time{}
	}
}

// Left: it was told to leave, or has left.
func (w *Watch) Left(id uint64) {
	delete(w.children, id)
	for i, other := range w.order {
		if other == id {
			w.order = append(w.order[:i:i], w.order[i+1:]...)
			return
		}
	}
}

// Measured is what waits in each queue. It appends those who hang.
func (w *Watch) Measured(now time.Time, ready map[string]int64, found []Hung) []Hung {
	if w.limit <= 0 {
		return found
	}
	if now.Sub(w.measured) > w.limit/2 {
		w.Unmeasured()
	}
	w.measured = now
	for _, id := range w.order {
		c := w.children[id]
		waiting := c.waiting(ready)
		switch {
		case waiting == 0 || !c.room(now):
			c.since = time.Time{}
		case c.since.IsZero():
			c.since = now
		case now.Sub(c.since) >= w.limit+Late:
			found = append(found, Hung{Child: id, Deaf: c.deaf(now), Detail: c.detail(now, waiting)})
			c.since = time.Time{}
		}
	}
	return found
}

// Unmeasured: the broker cannot be asked.
func (w *Watch) Unmeasured() {
	for _, c := range w.children {
		c.since = time.Time{}
	}
}

// Queues are those that somebody consumes.
func (w *Watch) Queues() (all []string) {
	seen := map[string]bool{}
	for _, id := range w.order {
		for _, q := range w.children[id].report.Queues {
			if !seen[q] {
				seen[q] = true
				all = append(all, q)
			}
		}
	}
	return all
}

func (c *child) waiting(ready map[string]int64) (n int64) {
	for _, q := range c.report.Queues {
		n += ready[q]
	}
	return n
}

func (c *child) deaf(now time.Time) bool { return now.Sub(c.heard) > Silence }

func (c *child) room(now time.Time) bool {
	switch {
	case c.report.Room == Unknown:
		return false // nothing is known of it, silent or not
	case !c.deaf(now):
		return c.report.Room == Free
	}
	return !c.shared || c.report.Active == 0
}

func (c *child) detail(now time.Time, waiting int64) string {
	text := fmt.Sprintf("took nothing for %s although it had room and %d messages waited", now.Sub(c.since).Round(time.Second), waiting)
	if c.deaf(now) {
		text += fmt.Sprintf("; its loop last turned %s ago", now.Sub(c.heard).Round(time.Second))
	}
	return text
}
