package pool

import (
	"fmt"
	"time"
)

// The guard's constants. A child with less than guardWorth frees nothing worth
// a restart: something else is fat. Prefetch is resumed only when memory is
// clearly below the threshold, lest it flap.
const (
	guardWorth  = 16 << 20
	guardResume = 0.95
)

func (p *Pool) onMemoryMeasured(now time.Time, ev MemoryMeasured, acts []Action) []Action {
	for _, m := range ev.Children {
		c := p.children[m.Child]
		if c == nil {
			continue // it exited while it was measured
		}
		c.memory = m.Bytes
		if kill := p.cfg.MemoryKill; kill > 0 && c.memory > kill && c.task != 0 {
			acts = p.kill(now, c, killing{
				signal: sigTERM, reason: ReasonOOM, grace: p.cfg.HardLimitGrace,
				detail: fmt.Sprintf("%s > %s, task %d", megabytes(c.memory), megabytes(kill), c.task),
			}, acts)
		}
		p.judgeSize(c)
	}
	return acts
}

// judgeSize makes a child due that is too big between tasks. One that is never
// seen idle is judged by two measurements in a row with a task's end between
// them: what a single task uses at its peak and then frees does not count.
func (p *Pool) judgeSize(c *child) {
	limit := c.maxMemory
	if limit == 0 {
		limit = p.cfg.MemoryKill
	}
	switch {
	case limit == 0 || c.memory <= limit:
		c.overIn = 0
	case c.task == 0 || c.overIn != 0 && c.overIn != c.task:
		c.want(ReasonMaxMemory, fmt.Sprintf("%s > %s", megabytes(c.memory), megabytes(limit)))
	default:
		c.overIn = c.task
	}
}

// onCgroupMeasured is the guard: it gives up one child rather than the pod.
func (p *Pool) onCgroupMeasured(now time.Time, ev CgroupMeasured, acts []Action) []Action {
	p.current, p.limit = ev.Current, ev.Limit
	soft := int64(p.cfg.GuardSoft * float64(ev.Limit))
	hard := int64(p.cfg.GuardHard * float64(ev.Limit))
	if soft > 0 && ev.Current > soft && !p.paused {
		p.paused = true
		acts = append(acts, PausePrefetch{Paused: true})
	}
	if p.paused && float64(ev.Current) < guardResume*float64(soft) || p.paused && soft == 0 {
		p.paused = false
		acts = append(acts, PausePrefetch{Paused: false})
	}
	switch {
	case hard > 0 && ev.Current > hard && p.rested(now, p.guardKilled):
		return p.guardKill(now, hard, acts)
	case soft > 0 && ev.Current > soft && p.rested(now, p.guardKilled) && p.rested(now, p.guardRetired):
		return p.guardRecycle(now, soft, acts)
	}
	return acts
}

// rested says whether the kernel has had GuardPause since a victim to take its
// memory back. A recycling is no reason to put off a killing.
func (p *Pool) rested(now, victim time.Time) bool {
	return victim.IsZero() || now.Sub(victim) >= p.cfg.GuardPause
}

// guardKill ends the fattest child with a task, else the fattest of all. By
// SIGKILL: a child that unwinds its stack first needs more memory and time than
// the kernel may leave.
func (p *Pool) guardKill(now time.Time, threshold int64, acts []Action) []Action {
	c := p.fattest(func(c *child) bool { return c.task != 0 && !c.killed })
	if c == nil {
		c = p.fattest(func(c *child) bool { return !c.killed })
	}
	if c == nil {
		return acts
	}
	p.guardKilled = now
	return p.kill(now, c, killing{signal: sigKILL, reason: ReasonOOM, detail: p.guardDetail(c, threshold)}, acts)
}

// guardRecycle retires the fattest idle child, one at a time. It does not wait
// for a replacement to be ready: that would need memory first.
func (p *Pool) guardRecycle(now time.Time, threshold int64, acts []Action) []Action {
	if p.children[p.guardVictim] != nil {
		return acts
	}
	c := p.fattest(func(c *child) bool { return c.state == Ready })
	if c == nil {
		return acts
	}
	p.guardRetired, p.guardVictim = now, c.id
	acts = p.retire(now, c, ReasonOOM, p.guardDetail(c, threshold), acts)
	if c.slot.next == c {
		c.slot.next = nil
		c.slot.leaving = append(c.slot.leaving, c)
	}
	return acts
}

// fattest is the biggest of some children, nil if none is worth it.
func (p *Pool) fattest(among func(*child) bool) *child {
	var most *child
	for _, c := range p.all() {
		if among(c) && c.memory >= guardWorth && (most == nil || c.memory > most.memory) {
			most = c
		}
	}
	return most
}

func (p *Pool) guardDetail(c *child, threshold int64) string {
	return fmt.Sprintf("cgroup %s > %s of %s, child %s",
		megabytes(p.current), megabytes(threshold), megabytes(p.limit), megabytes(c.memory))
}

// megabytes is for people.
func megabytes(n int64) string { return fmt.Sprintf("%d MB", (n+1<<19)>>20) }
