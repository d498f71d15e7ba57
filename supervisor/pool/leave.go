package pool

import (
	"fmt"
	"slices"
	"time"
)

// The signals by which children are ended.
const (
	sigTERM = "SIGTERM"
	sigKILL = "SIGKILL"
)

// retire lets a ready or busy child finish what it began; then it leaves.
func (p *Pool) retire(now time.Time, c *child, reason Reason, detail string, acts []Action) []Action {
	acts = p.move(c, Draining, reason, detail, acts)
	acts = append(acts, Retire{Child: c.id, Reason: reason})
	if c.task == 0 {
		acts = p.stop(now, c, acts)
	}
	return acts
}

// stop asks a draining child that runs nothing to leave, once, and gives it
// StopTimeout from now.
func (p *Pool) stop(now time.Time, c *child, acts []Action) []Action {
	c.at = now.Add(p.cfg.StopTimeout)
	if c.stopped {
		return acts
	}
	c.stopped = true
	return append(acts, Stop{Child: c.id})
}

// dismiss sends a child away that is not wanted any more, without cutting off a
// task. One that is still starting has nothing to finish.
func (p *Pool) dismiss(now time.Time, c *child, reason Reason, acts []Action) []Action {
	switch c.state {
	case Starting:
		acts = p.kill(now, c, killing{signal: sigTERM, reason: reason, grace: p.cfg.KillGrace}, acts)
	case Ready, Busy:
		acts = p.retire(now, c, reason, "", acts)
	}
	if c.slot.next == c {
		c.slot.next = nil
		c.slot.leaving = append(c.slot.leaving, c)
	}
	return acts
}

// killing is how a child is to be ended by a signal.
type killing struct {
	signal string
	reason Reason
	grace  time.Duration // until SIGKILL
	limit  time.Duration
	detail string
}

// kill ends a child by a signal. What already dies of a signal keeps its reason,
// and dies no later than the new grace says.
func (p *Pool) kill(now time.Time, c *child, k killing, acts []Action) []Action {
	if c.killed {
		return acts
	}
	if c.state == Killing {
		if k.signal != sigKILL {
			c.at = earlier(c.at, now.Add(k.grace))
			return acts
		}
		k.reason, k.limit = c.reason, c.limit
	} else {
		acts = p.move(c, Killing, k.reason, k.detail, acts)
		c.limit = k.limit
	}
	c.softAt, c.hardAt, c.at = time.Time{}, time.Time{}, time.Time{}
	if c.killed = k.signal == sigKILL; !c.killed {
		c.at = now.Add(k.grace)
	}
	if c.pid == 0 && !c.killed && c.ready.IsZero() {
		return acts // not forked yet: the signal waits for ChildForked
	}
	return append(acts, Kill{Child: c.id, Task: c.task, Signal: k.signal, Reason: k.reason, Limit: k.limit})
}

// expire acts upon the deadlines of a child.
func (p *Pool) expire(now time.Time, c *child, acts []Action) []Action {
	acts = p.limits(now, c, acts)
	if passed(now, c.ageAt) {
		c.ageAt = time.Time{}
		c.want(ReasonMaxAge, fmt.Sprintf("%s old", now.Sub(c.ready).Round(time.Second)))
	}
	if passed(now, c.spareAt) {
		c.spareAt, c.spare = time.Time{}, true
	}
	if !passed(now, c.at) {
		return acts
	}
	switch c.state {
	case Starting:
		acts = p.hung(now, c, fmt.Sprintf("not ready after %s", p.cfg.StartTimeout), acts)
	case Draining:
		acts = p.hung(now, c, fmt.Sprintf("did not leave in %s", p.cfg.StopTimeout), acts)
	case Killing:
		acts = p.kill(now, c, killing{signal: sigKILL}, acts)
	}
	return acts
}

func (p *Pool) hung(now time.Time, c *child, detail string, acts []Action) []Action {
	return p.kill(now, c, killing{signal: sigTERM, reason: ReasonHung, grace: p.cfg.KillGrace, detail: detail}, acts)
}

func (p *Pool) onChildHung(now time.Time, ev ChildHung, acts []Action) []Action {
	c := p.children[ev.Child]
	switch {
	case c == nil || c.state == Starting:
		return acts // it has gone meanwhile; who starts has a deadline of its own
	case ev.Deaf:
		return p.hung(now, c, ev.Detail, acts)
	}
	c.want(ReasonHung, ev.Detail)
	return acts
}

// want marks a child to be replaced; the first reason stays.
func (c *child) want(reason Reason, why string) {
	if c.due == "" {
		c.due, c.dueWhy = reason, why
	}
}

func (p *Pool) onFrameBroken(now time.Time, ev FrameBroken, acts []Action) []Action {
	c := p.children[ev.Child]
	if c == nil {
		return acts // read after its exit was known
	}
	return p.kill(now, c, killing{signal: sigKILL, reason: ReasonBroken, detail: ev.Reason}, acts)
}

// onDrainBegan sends everybody away, or brings the deadline forward.
func (p *Pool) onDrainBegan(now, deadline time.Time, acts []Action) []Action {
	p.deadline = earlier(p.deadline, deadline)
	if !p.draining {
		p.draining = true
		for _, c := range p.all() {
			acts = p.dismiss(now, c, ReasonDrain, acts)
		}
		for _, s := range p.slots {
			if s.idle == Backoff && s.seat == nil {
				acts = p.rest(s, Empty, ReasonDrain, "", acts)
			}
		}
	}
	if !p.cut && passed(now, p.deadline) {
		acts = p.cutOff(now, acts)
	}
	return acts
}

// cutOff ends what still lives at the deadline of the drain.
func (p *Pool) cutOff(now time.Time, acts []Action) []Action {
	p.cut = true
	for _, c := range p.all() {
		acts = p.kill(now, c, killing{signal: sigTERM, reason: ReasonCutoff, grace: p.cfg.CutoffGrace}, acts)
	}
	return acts
}

// onResized opens slots, or closes those whose loss costs least.
func (p *Pool) onResized(now time.Time, ev Resized, acts []Action) []Action {
	if ev.Slots < 0 {
		p.odd("resized to less than nothing", 0)
		return acts
	}
	if p.draining {
		return acts
	}
	p.grow(ev.Slots)
	order := slices.Clone(p.slots)
	slices.SortStableFunc(order, func(a, b *slot) int {
		if d := a.worth() - b.worth(); d != 0 {
			return d
		}
		return int(b.id - a.id)
	})
	for _, s := range order {
		if p.size > ev.Slots && !s.closing {
			acts = p.closeSlot(now, s, acts)
		}
	}
	return acts
}

// worth orders slots for closing: those without a child first, then starting
// ones, those on their way out, idle ones, and those with a task last.
func (s *slot) worth() int {
	switch c := s.seat; {
	case c == nil:
		return 0
	case c.task != 0:
		return 4
	case c.state == Starting:
		return 1
	case c.state == Ready:
		return 3
	}
	return 2
}

func (p *Pool) closeSlot(now time.Time, s *slot, acts []Action) []Action {
	s.closing = true
	p.size--
	if s.next != nil {
		acts = p.dismiss(now, s.next, ReasonResize, acts)
	}
	if s.seat != nil {
		return p.dismiss(now, s.seat, ReasonResize, acts)
	}
	if s.idle == Backoff {
		acts = p.rest(s, Empty, ReasonResize, "", acts)
	}
	return acts
}
