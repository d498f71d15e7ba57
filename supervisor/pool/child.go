package pool

import (
	"fmt"
	"time"
)

// slot is a seat. It outlives its children.
type slot struct {
	id SlotID
	// seat is the child whose turn it is; next is its replacement, starting or
	// ready and waiting; leaving are those that gave up the seat and still live.
	seat, next *child
	leaving    []*child
	idle       State     // Empty or Backoff, while seat is nil
	until      time.Time // no start before; zero: at once
	failures   int       // in a row
	why        Reason    // of the last failure
	closing    bool      // not wanted any more
}

// child is one process, from the wish to have it until its exit.
type child struct {
	id     ChildID
	slot   *slot
	gen    Generation
	state  State
	reason Reason
	pid    int

	asked, ready time.Time
	begun, done  int
	maxTasks     int // jittered; 0: none
	maxMemory    int64
	maxAge       time.Duration

	memory int64
	overIn TaskID // the task during which memory was first seen above maxMemory; 0: not

	task           TaskID // 0: none
	began          time.Time
	soft, hard     time.Duration
	softAt, hardAt time.Time

	due     Reason // why it is to be replaced, once a replacement is ready; "": not
	dueWhy  string // numbers for people
	ageAt   time.Time
	spare   bool      // near max_tasks: a replacement is wanted
	spareAt time.Time // when it will be near

	stopped bool          // Stop was given
	killed  bool          // SIGKILL was given
	limit   time.Duration // the hard limit it is killed for
	at      time.Time     // of the state: start timeout, stop timeout, grace
}

func (c *child) mayTake() bool {
	return (c.state == Ready || c.state == Busy) && c.slot.seat == c
}

// free says that the child is on its way out and runs nothing, so that its
// replacement may work.
func (c *child) free() bool {
	return c.task == 0 && (c.state == Killing || c.state == Draining && c.stopped)
}

// moves is the transition table; doc.go draws it and a test compares the two.
var moves = [...][]State{
	Empty:    {Starting, Backoff},
	Starting: {Ready, Killing, Empty},
	Ready:    {Busy, Draining, Killing, Empty, Ready},
	Busy:     {Ready, Draining, Killing, Empty},
	Draining: {Killing, Empty},
	Killing:  {Empty},
	Backoff:  {Starting, Empty},
}

// move changes a child's state and tells so. Ready to Busy and back is the hot
// path and does not come through here.
func (p *Pool) move(c *child, to State, reason Reason, detail string, acts []Action) []Action {
	from := c.state
	c.state, c.reason = to, reason
	return append(acts, Transition{
		Slot: c.slot.id, Child: c.id, Generation: c.gen,
		From: from, To: to, Reason: reason, Detail: detail,
	})
}

// rest changes the state of a slot without a child.
func (p *Pool) rest(s *slot, to State, reason Reason, detail string, acts []Action) []Action {
	from := s.idle
	s.idle = to
	return append(acts, Transition{Slot: s.id, From: from, To: to, Reason: reason, Detail: detail})
}

// odd counts an event that cannot be.
func (p *Pool) odd(what string, id ChildID) {
	p.impossible++
	c := p.children[id]
	switch {
	case id == 0:
		p.lastOdd = what
	case c == nil:
		p.lastOdd = fmt.Sprintf("%s: child %d is unknown or gone", what, id)
	default:
		p.lastOdd = fmt.Sprintf("%s: child %d of slot %d is %s (%s), runs task %d, %d begun, %d done",
			what, id, c.slot.id, c.state, c.reason, c.task, c.begun, c.done)
	}
}

// mean is an exponentially weighted average of durations.
type mean struct {
	seconds float64
	seen    bool
}

// add takes a sample in; weight is its part in the new average.
func (m *mean) add(d time.Duration, weight float64) {
	if !m.seen {
		m.seconds, m.seen = d.Seconds(), true
		return
	}
	m.seconds += weight * (d.Seconds() - m.seconds)
}

// times is n such durations.
func (m mean) times(n int) time.Duration {
	return time.Duration(float64(n) * m.seconds * float64(time.Second))
}

// passed says whether a deadline is set and reached.
func passed(now, at time.Time) bool { return !at.IsZero() && !now.Before(at) }

// earlier is the earlier of two deadlines, zero being none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
