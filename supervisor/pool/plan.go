package pool

import (
	"fmt"
	"slices"
	"time"
)

// plan brings the slots nearer to what is wanted, as far as is allowed now. It
// runs after every event but the hot ones, and decides nothing twice.
func (p *Pool) plan(now time.Time, acts []Action) []Action {
	if p.opened && !p.draining && !p.gaveUp {
		for _, s := range p.slots {
			acts = p.handOver(now, s, acts)
		}
		for _, s := range p.slots {
			acts = p.fill(now, s, acts)
		}
		acts = p.replace(now, acts)
	}
	p.slots = slices.DeleteFunc(p.slots, func(s *slot) bool {
		return s.closing && s.seat == nil && s.next == nil && len(s.leaving) == 0
	})
	p.wake = p.earliest(now)
	if p.draining && len(p.children) == 0 {
		p.drained, p.wake = true, time.Time{}
		acts = append(acts, Drained{})
	}
	return acts
}

// handOver passes the seat to a replacement that is ready.
func (p *Pool) handOver(now time.Time, s *slot, acts []Action) []Action {
	n := s.next
	if n == nil || n.gen < p.gen {
		if n != nil {
			acts = p.dismiss(now, n, ReasonReload, acts)
		}
		return acts
	}
	if n.state != Ready {
		return acts
	}
	old := s.seat
	if old != nil && old.mayTake() && old.due != "" {
		acts = p.retire(now, old, old.due, old.dueWhy, acts)
	}
	if old == nil || !old.free() {
		return acts
	}
	s.leaving = append(s.leaving, old)
	s.seat = nil
	return p.reseat(s, old.reason, acts)
}

// reseat seats the replacement, if there is one, because the seat is free. That
// it may take tasks from now on is told by a transition from Ready to Ready.
func (p *Pool) reseat(s *slot, reason Reason, acts []Action) []Action {
	c := s.next
	if c == nil {
		return acts
	}
	s.seat, s.next = c, nil
	if c.state != Ready {
		return acts
	}
	c.spare = p.nearlyUsedUp(c)
	return p.move(c, Ready, reason, "seated", acts)
}

// fill starts a child for an empty slot.
func (p *Pool) fill(now time.Time, s *slot, acts []Action) []Action {
	if s.seat != nil || s.closing {
		return acts
	}
	if now.Before(s.until) {
		if s.idle == Empty {
			acts = p.rest(s, Backoff, s.why, fmt.Sprintf("%d failures, next start in %s", s.failures, s.until.Sub(now)), acts)
		}
		return acts
	}
	if !p.usable || len(p.children) >= p.size+p.cfg.Surge {
		return acts
	}
	return p.start(now, s, false, ReasonStart, acts)
}

// replace starts replacements, the most urgent first, while surge allows.
func (p *Pool) replace(now time.Time, acts []Action) []Action {
	if !p.usable {
		return acts
	}
	for need := needNow; need > needNothing; need-- {
		for _, s := range p.slots {
			if s.need() != need || now.Before(s.until) {
				continue
			}
			switch {
			case p.extra() < p.cfg.Surge && len(p.children) < p.size+p.cfg.Surge:
				acts = p.start(now, s, true, s.wish(), acts)
			case p.cfg.Surge == 0, need == needIdle && p.stuck():
				acts = p.replaceInPlace(now, s, acts)
			}
		}
	}
	return acts
}

// stuck says that every extra child is ready and waits for the end of a task
// beside which a start is nothing. A reload of eight children with tasks of an
// hour would last for hours, one child after the other, if those whose tasks
// have ended had to wait for a replacement that may live beside them.
func (p *Pool) stuck() bool {
	if !p.meanTask.seen || p.meanTask.seconds < 10*p.meanStart.seconds {
		return false
	}
	waiting := 0
	for _, s := range p.slots {
		if s.next != nil && s.next.state == Ready && s.seat.task != 0 && !s.seat.mayTake() {
			waiting++
		}
	}
	return waiting > 0 && waiting >= p.extra()
}

// replaceInPlace retires a child without a replacement, since there may be none
// beside it, unless another slot is without a child at work.
func (p *Pool) replaceInPlace(now time.Time, s *slot, acts []Action) []Action {
	if !s.seat.mayTake() || s.seat.due == "" {
		return acts
	}
	for _, other := range p.slots {
		if !other.closing && (other.seat == nil || !other.seat.mayTake() && other.seat.task == 0) {
			return acts
		}
	}
	return p.retire(now, s.seat, s.seat.due, s.seat.dueWhy, acts)
}

// How urgently a slot needs a replacement.
const (
	needNothing = iota
	needBusy    // due, and at work: it will be a while
	needIdle    // due, and idle
	needSoon    // will have used up its max_tasks in no time
	needNow     // on its way out: nobody works in this slot, or soon nobody will
)

func (s *slot) need() int {
	c := s.seat
	switch {
	case c == nil || s.next != nil || s.closing:
		return needNothing
	case c.state == Draining || c.state == Killing:
		return needNow
	case c.state != Ready && c.state != Busy:
		return needNothing
	case c.spare:
		return needSoon
	case c.due == "":
		return needNothing
	case c.state == Ready:
		return needIdle
	}
	return needBusy
}

// wish is why a replacement is started.
func (s *slot) wish() Reason {
	switch c := s.seat; {
	case c.state == Draining || c.state == Killing:
		return c.reason
	case c.due != "":
		return c.due
	}
	return ReasonMaxTasks
}

// extra is how many children live beside those in the seats of wanted slots.
func (p *Pool) extra() int {
	n := len(p.children)
	for _, s := range p.slots {
		if s.seat != nil && !s.closing {
			n--
		}
	}
	return n
}

// earliest is the first of all deadlines. That of a back-off which is over and
// has led to nothing, for want of a zygote or of surge, is none: an event will
// bring those.
func (p *Pool) earliest(now time.Time) time.Time {
	at := p.genRetry
	if p.draining && !p.cut {
		at = earlier(at, p.deadline)
	}
	for _, c := range p.children {
		for _, t := range [...]time.Time{c.at, c.softAt, c.hardAt, c.ageAt, c.spareAt} {
			at = earlier(at, t)
		}
	}
	if p.draining || p.gaveUp {
		return at
	}
	for _, s := range p.slots {
		if s.until.After(now) && (s.idle == Backoff || s.need() > needNothing) {
			at = earlier(at, s.until)
		}
	}
	return at
}
