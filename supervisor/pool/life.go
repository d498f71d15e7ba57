package pool

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// start asks for a child.
func (p *Pool) start(now time.Time, s *slot, replacement bool, reason Reason, acts []Action) []Action {
	p.lastID++
	c := &child{id: p.lastID, slot: s, gen: p.gen, asked: now, at: now.Add(p.cfg.StartTimeout)}
	part := 1 - p.cfg.Jitter*p.jitter()
	c.maxTasks = scale(p.cfg.MaxTasks, part)
	c.maxMemory = scale(p.cfg.MaxMemory, part)
	c.maxAge = scale(p.cfg.MaxAge, part)
	p.children[c.id] = c
	if replacement {
		s.next = c
	} else {
		s.seat, c.state, s.idle = c, s.idle, Empty
	}
	acts = p.move(c, Starting, reason, "", acts)
	return append(acts, StartChild{Slot: s.id, Child: c.id, Generation: c.gen})
}

// scale shortens a limit; what is set stays set.
func scale[T int | int64 | time.Duration](limit T, part float64) T {
	if limit == 0 {
		return 0
	}
	return max(1, limit-T(float64(limit)*(1-part)))
}

func (p *Pool) onChildForked(now time.Time, ev ChildForked, acts []Action) []Action {
	c := p.children[ev.Child]
	if c == nil || c.pid != 0 {
		p.odd("forked", ev.Child)
		return acts
	}
	c.pid = ev.PID
	if c.state == Killing && c.ready.IsZero() {
		signal := sigTERM
		if c.killed {
			signal = sigKILL
		}
		acts = append(acts, Kill{Child: c.id, Signal: signal, Reason: c.reason})
	}
	return acts
}

// onChildReady may come before ChildForked: they travel by different sockets.
func (p *Pool) onChildReady(now time.Time, ev ChildReady, acts []Action) []Action {
	c := p.children[ev.Child]
	switch {
	case c == nil || !c.ready.IsZero():
		p.odd("ready", ev.Child)
		return acts
	case c.state == Killing:
		return acts // too late
	}
	c.ready, c.at = now, time.Time{}
	if c.maxAge > 0 {
		c.ageAt = now.Add(c.maxAge)
	}
	p.meanStart.add(now.Sub(c.asked), startWeight)
	acts = p.move(c, Ready, ReasonStart, "", acts)
	c.spare = c.slot.seat == c && p.nearlyUsedUp(c)
	return acts
}

func (p *Pool) onForkFailed(now time.Time, ev ForkFailed, acts []Action) []Action {
	c := p.children[ev.Child]
	if c == nil || !c.ready.IsZero() {
		p.odd("not forked", ev.Child)
		return acts
	}
	reason := ReasonForkFail
	if c.state == Killing {
		reason = c.reason
	}
	return p.vacate(now, c, reason, ev.Reason, acts)
}

func (p *Pool) onChildExited(now time.Time, ev ChildExited, acts []Action) []Action {
	c := p.children[ev.Child]
	if c == nil {
		p.odd("exited", ev.Child)
		return acts
	}
	return p.vacate(now, c, verdict(c, ev), p.obituary(c, ev.Status), acts)
}

// verdict says why a child is gone.
func verdict(c *child, ev ChildExited) Reason {
	switch {
	case c.state == Killing:
		return c.reason
	case c.free() && ev.OK:
		return ReasonExited
	}
	return ReasonCrashed
}

// obituary adds to a SIGKILL that was not ours the numbers that make "out of
// memory" believable or not.
func (p *Pool) obituary(c *child, status string) string {
	if c.state == Killing || !strings.Contains(status, sigKILL) || c.memory == 0 {
		return status
	}
	status += "; last measured at " + megabytes(c.memory)
	if p.limit > 0 {
		status += fmt.Sprintf(", cgroup %s of %s", megabytes(p.current), megabytes(p.limit))
	}
	return status
}

// vacate takes a dead child out, counts a failed start, and passes the seat on.
func (p *Pool) vacate(now time.Time, c *child, reason Reason, detail string, acts []Action) []Action {
	s := c.slot
	failure := p.failure(now, c, reason)
	acts = p.move(c, Empty, reason, detail, acts)
	delete(p.children, c.id)
	switch c {
	case s.next:
		s.next = nil
	case s.seat:
		s.seat = nil
		acts = p.reseat(s, reason, acts)
	default:
		s.leaving = slices.DeleteFunc(s.leaving, func(l *child) bool { return l == c })
	}
	if failure {
		return p.countFailure(now, c, reason, detail, acts)
	}
	if !c.ready.IsZero() && now.Sub(c.ready) >= p.cfg.BackoffMax {
		s.failures = 0
	}
	return acts
}

// failure says whether a death tells that children cannot live here: it was
// before ready, or soon after and without a task done. What we ended for other
// reasons tells nothing.
func (p *Pool) failure(now time.Time, c *child, reason Reason) bool {
	switch reason {
	case ReasonCrashed, ReasonHung, ReasonBroken, ReasonForkFail:
		return c.ready.IsZero() || c.done == 0 && now.Sub(c.ready) < p.cfg.BackoffMax
	}
	return false
}

// countFailure makes the slot wait and, in the end, the pool give up. A child
// that died of its first task makes its slot wait, but is no sign that children
// cannot be started.
func (p *Pool) countFailure(now time.Time, c *child, reason Reason, detail string, acts []Action) []Action {
	s := c.slot
	s.failures++
	s.why = reason
	s.until = now.Add(p.backoff(s.failures))
	if c.task != 0 {
		return acts
	}
	what, why := "could be started", fmt.Sprintf("%s: %s", reason, detail)
	if !c.ready.IsZero() {
		what, why = "lived to end a task", fmt.Sprintf("%s %s after it was ready: %s", reason, now.Sub(c.ready).Round(time.Millisecond), detail)
	}
	return p.failing(now, what, why, acts)
}

// failing notes a failed start of a child or a zygote; what no child did, and why the
// last one did not.
func (p *Pool) failing(now time.Time, what, why string, acts []Action) []Action {
	switch {
	case p.healthy(now):
		p.failingSince = time.Time{}
	case p.failingSince.IsZero():
		p.failingSince = now
	case p.cfg.GiveUpAfter > 0 && now.Sub(p.failingSince) >= p.cfg.GiveUpAfter && !p.gaveUp:
		p.gaveUp = true
		return append(acts, GiveUp{Reason: fmt.Sprintf("no child %s for %s; the last: %s",
			what, now.Sub(p.failingSince).Round(time.Second), why)})
	}
	return acts
}

// healthy says whether some child works, or has lived for long enough.
func (p *Pool) healthy(now time.Time) bool {
	for _, c := range p.children {
		if (c.state == Ready || c.state == Busy) && (c.done > 0 || now.Sub(c.ready) >= p.cfg.BackoffMax) {
			return true
		}
	}
	return false
}

// backoff is how long to wait after so many failures in a row: not at all after
// the first, then BackoffMin, doubling up to BackoffMax.
func (p *Pool) backoff(failures int) time.Duration {
	if failures <= 1 {
		return 0
	}
	d := p.cfg.BackoffMin
	for range failures - 2 {
		if d *= 2; d >= p.cfg.BackoffMax {
			return p.cfg.BackoffMax
		}
	}
	return min(d, p.cfg.BackoffMax)
}

// onGenerationReady makes older children due for replacement.
func (p *Pool) onGenerationReady(ev GenerationReady) {
	if ev.Generation <= p.gen {
		p.odd(fmt.Sprintf("generation %d became ready after %d", ev.Generation, p.gen), 0)
		return
	}
	p.gen, p.usable, p.asked, p.genFailures, p.genRetry = ev.Generation, true, false, 0, time.Time{}
	for _, c := range p.children {
		c.want(ReasonReload, "")
		if c.due == ReasonReload {
			c.dueWhy = fmt.Sprintf("generation %d is ready", p.gen)
		}
	}
}

// onGenerationLost asks for another zygote when there is none left to fork from.
func (p *Pool) onGenerationLost(now time.Time, ev GenerationLost, acts []Action) []Action {
	switch {
	case ev.Generation < p.gen || p.draining:
		return acts // it was on its way out
	case ev.Generation == p.gen && p.usable:
		p.usable = false
		return p.startGeneration(acts)
	case ev.Generation > p.gen && p.asked:
		p.genFailures++
		p.genRetry = now.Add(p.backoff(p.genFailures + 1))
		return p.failing(now, "could be started", fmt.Sprintf("zygote of generation %d", ev.Generation), acts)
	}
	return acts // a reload that came to nothing; the old zygote goes on
}

func (p *Pool) startGeneration(acts []Action) []Action {
	p.genRetry = time.Time{}
	if p.gaveUp || p.draining {
		return acts
	}
	p.asked = true
	return append(acts, StartGeneration{})
}
