package pool

import (
	"fmt"
	"time"
)

// The weights of a sample in the averages. Tasks are many and, when frames
// arrive in batches, noisy; starts are few.
const (
	taskWeight  = 1.0 / 16
	startWeight = 1.0 / 4
)

// onTaskBegan is the hot path: O(1), no allocation.
func (p *Pool) onTaskBegan(now time.Time, ev TaskBegan, acts []Action) []Action {
	c := p.children[ev.Child]
	if c == nil || ev.Task == 0 || c.task != 0 || c.ready.IsZero() {
		p.odd("a task began", ev.Child)
		return acts
	}
	c.task, c.began = ev.Task, now
	c.begun++
	p.arm(c, now, ev.Soft, ev.Hard)
	switch c.state {
	case Ready:
		c.state, c.reason = Busy, ReasonTask
	case Draining:
		// It crossed our Stop on the wire. The child leaves when it has ended.
		c.at = time.Time{}
	}
	if c.maxTasks > 0 && c.begun >= c.maxTasks {
		return p.onLastTask(now, c, acts)
	}
	return acts
}

// arm sets the limits of a task.
// Celery: with both limits the hard timer is armed when the soft one fires, for
// hard minus soft; so a hard limit below the soft one strikes right after it
// (concurrency/asynpool.py, 5.7.0).
func (p *Pool) arm(c *child, now time.Time, soft, hard time.Duration) {
	c.soft, c.hard = soft, hard
	c.softAt, c.hardAt = time.Time{}, time.Time{}
	if soft > 0 {
		c.softAt = now.Add(soft)
		p.wake = earlier(p.wake, c.softAt)
	}
	if hard > 0 {
		c.hardAt = now.Add(max(soft, hard))
		p.wake = earlier(p.wake, c.hardAt)
	}
}

// onLastTask runs once per child: it has begun its max_tasks'th task.
func (p *Pool) onLastTask(now time.Time, c *child, acts []Action) []Action {
	if c.begun > c.maxTasks {
		p.odd("a task more than max_tasks began", c.id)
	}
	if c.spare || c.state != Busy {
		return acts
	}
	at := now.Add(p.meanTask.times(1) - p.meanStart.times(2))
	if !p.meanTask.seen || !p.meanStart.seen || !now.Before(at) {
		c.spare = true
		return p.plan(now, acts)
	}
	c.spareAt = at
	p.wake = earlier(p.wake, at)
	return acts
}

// onTaskEnded is the hot path: O(1), no allocation.
func (p *Pool) onTaskEnded(now time.Time, ev TaskEnded, acts []Action) []Action {
	c := p.children[ev.Child]
	if c == nil || ev.Task == 0 || c.task != ev.Task {
		p.odd("a task ended that did not run", ev.Child)
		return acts
	}
	p.meanTask.add(now.Sub(c.began), taskWeight)
	c.task = 0
	c.softAt, c.hardAt = time.Time{}, time.Time{}
	c.done++
	c.slot.failures = 0
	p.failingSince = time.Time{}
	switch c.state {
	case Busy:
		c.state, c.reason = Ready, ReasonTask
		return p.afterTask(now, c, acts)
	case Draining:
		acts = p.stop(now, c, acts)
		return p.plan(now, acts)
	}
	return acts
}

// afterTask looks whether a child is used up or soon will be.
func (p *Pool) afterTask(now time.Time, c *child, acts []Action) []Action {
	switch {
	case c.maxTasks == 0 && c.due == "":
		return acts
	case c.maxTasks > 0 && c.done >= c.maxTasks:
		acts = p.retire(now, c, ReasonMaxTasks, fmt.Sprintf("%d tasks", c.done), acts)
	case !c.spare && p.nearlyUsedUp(c):
		c.spare = true
	case c.due == "":
		return acts
	}
	return p.plan(now, acts)
}

// nearlyUsedUp says whether the tasks that an idle child may still run will take
// less than two starts, so that a replacement begun now is just in time.
func (p *Pool) nearlyUsedUp(c *child) bool {
	if c.maxTasks == 0 {
		return false
	}
	if !p.meanTask.seen || !p.meanStart.seen {
		return 2*c.done >= c.maxTasks
	}
	return p.meanTask.times(c.maxTasks-c.done) <= p.meanStart.times(2)
}

// limits interrupts a task at its soft limit and ends its child at the hard one.
func (p *Pool) limits(now time.Time, c *child, acts []Action) []Action {
	if passed(now, c.softAt) {
		c.softAt = time.Time{}
		if c.state != Killing {
			acts = append(acts, Interrupt{Child: c.id, Task: c.task, Limit: c.soft})
		}
	}
	if passed(now, c.hardAt) {
		c.hardAt = time.Time{}
		if c.state != Killing {
			acts = p.kill(now, c, killing{
				signal: sigTERM, reason: ReasonHardLimit, grace: p.cfg.HardLimitGrace,
				limit: c.hard, detail: fmt.Sprintf("task %d ran for %s", c.task, now.Sub(c.began)),
			}, acts)
		}
	}
	return acts
}

// onTerminateRequested signals a child for the sake of the one task it runs.
// Celery: the signal goes to the process, whatever it runs by then, and nothing
// follows it (worker/request.py, 5.7.0). Here it goes to no other task, and a
// signal that should end the process is followed by SIGKILL.
func (p *Pool) onTerminateRequested(now time.Time, ev TerminateRequested, acts []Action) []Action {
	c := p.children[ev.Child]
	if c == nil || ev.Task == 0 || c.task != ev.Task || c.state == Killing {
		return acts
	}
	switch ev.Signal {
	case "SIGTERM", "SIGKILL", "SIGINT", "SIGQUIT", "SIGABRT", "SIGHUP":
		return p.kill(now, c, killing{
			signal: ev.Signal, reason: ReasonTerminate, grace: p.cfg.KillGrace,
			detail: fmt.Sprintf("task %d", c.task),
		}, acts)
	}
	return append(acts, Kill{Child: c.id, Task: c.task, Signal: ev.Signal, Reason: ReasonTerminate})
}
