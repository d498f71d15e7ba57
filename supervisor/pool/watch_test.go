package pool_test

import (
	"fmt"
	"time"

	"crisper/supervisor/pool"
)

// watch is the dumb twin: it knows only events and actions, and complains of an
// action that breaks an invariant of doc.go.
type watch struct {
	cfg      pool.Config
	pool     *pool.Pool
	now      time.Time
	children map[pool.ChildID]*watched
	failed   map[pool.SlotID]*failures
	usable   pool.Generation // 0: none
	latest   pool.Generation
	closed   bool // draining or given up: nothing may be started
	drained  bool
	scarce   bool           // the cgroup was just measured above the hard threshold
	seen     map[string]int // what happened, to see that the world is rich
	err      error
}

type watched struct {
	slot             pool.SlotID
	state            pool.State
	ready            bool
	retired, stopped bool
	task             pool.TaskID
	begun            int
	termAt           time.Time
	killed           bool
	demanded         bool // SIGKILL was demanded, or is right for a broken frame
}

// failures are those in a row of a slot, and when the last one was.
type failures struct {
	n  int
	at time.Time
}

func newWatch(cfg pool.Config, p *pool.Pool) *watch {
	return &watch{
		cfg: cfg, pool: p, children: map[pool.ChildID]*watched{},
		failed: map[pool.SlotID]*failures{}, seen: map[string]int{},
	}
}

func (w *watch) complain(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// event notes what the pool is about to be told.
func (w *watch) event(ev pool.Event) {
	w.scarce = false
	switch ev := ev.(type) {
	case pool.GenerationReady:
		w.usable, w.latest = ev.Generation, ev.Generation
	case pool.GenerationLost:
		if ev.Generation == w.usable {
			w.usable = 0
		}
	case pool.TaskBegan:
		c := w.children[ev.Child]
		c.task = ev.Task
		if c.begun++; w.cfg.MaxTasks > 0 && c.begun > w.cfg.MaxTasks {
			w.complain("child %d began %d tasks", ev.Child, c.begun)
		}
	case pool.TaskEnded:
		c := w.children[ev.Child]
		c.task = 0
		delete(w.failed, c.slot)
	case pool.Resized:
		clear(w.failed) // a slot that is opened again begins anew
	case pool.DrainBegan, pool.DrainHurried:
		w.closed = true
	case pool.CgroupMeasured:
		w.scarce = float64(ev.Current) > w.cfg.GuardHard*float64(ev.Limit)
	case pool.FrameBroken:
		if c := w.children[ev.Child]; c != nil {
			c.demanded = true
		}
	case pool.TerminateRequested:
		if c := w.children[ev.Child]; c != nil && c.task == ev.Task && ev.Signal == "SIGKILL" {
			c.demanded = true
		}
	}
}

// actions checks what the pool answered.
func (w *watch) actions(acts []pool.Action) error {
	for _, a := range acts {
		if w.drained {
			w.complain("%T after drained", a)
		}
		w.seen[fmt.Sprintf("%T", a)]++
		w.action(a)
	}
	w.state()
	if w.err == nil {
		w.err = w.pool.Check(w.now)
	}
	if n, last := w.pool.Impossible(); n > 0 {
		w.complain("impossible: %s", last)
	}
	return w.err
}

func (w *watch) action(a pool.Action) {
	switch a := a.(type) {
	case pool.Transition:
		w.transition(a)
	case pool.StartChild:
		w.start(a)
	case pool.Retire:
		c := w.children[a.Child]
		if c.retired || c.state != pool.Draining {
			w.complain("child %d is retired twice, or while %s", a.Child, c.state)
		}
		c.retired = true
	case pool.Stop:
		c := w.children[a.Child]
		if c.stopped || !c.retired || c.task != 0 {
			w.complain("child %d is stopped twice, unretired, or in task %d", a.Child, c.task)
		}
		c.stopped = true
	case pool.Interrupt:
		if c := w.children[a.Child]; a.Task == 0 || c.task != a.Task || c.state == pool.Killing {
			w.complain("interrupt of task %d in child %d, which is %s and runs %d", a.Task, a.Child, c.state, c.task)
		}
	case pool.Kill:
		w.kill(a)
	case pool.GiveUp:
		w.closed = true
	case pool.Drained:
		w.drained = true
		if len(w.children) > 0 {
			w.complain("drained with %d children", len(w.children))
		}
	}
}

func (w *watch) transition(t pool.Transition) {
	w.seen[t.To.String()+" "+string(t.Reason)]++
	if !pool.Legal(t.From, t.To) {
		w.complain("child %d goes from %s to %s", t.Child, t.From, t.To)
	}
	if t.Child == 0 {
		return
	}
	c := w.children[t.Child]
	if c == nil {
		c = &watched{slot: t.Slot, state: t.From}
		w.children[t.Child] = c
	}
	if t.From != c.told() {
		w.complain("child %d is %s, and said to go from %s to %s", t.Child, c.told(), t.From, t.To)
	}
	c.state, c.ready = t.To, c.ready || t.To == pool.Ready
	if t.To == pool.Empty {
		w.exit(t, c)
	}
}

// told is the state with the transitions that are not told.
func (c *watched) told() pool.State {
	if c.state == pool.Ready && c.task != 0 {
		return pool.Busy
	}
	return c.state
}

func (w *watch) exit(t pool.Transition, c *watched) {
	delete(w.children, t.Child)
	if t.From == pool.Busy || t.From == pool.Draining || c.ready {
		delete(w.failed, c.slot)
		return
	}
	switch t.Reason {
	case pool.ReasonCrashed, pool.ReasonForkFail, pool.ReasonHung, pool.ReasonBroken:
		if w.failed[c.slot] == nil {
			w.failed[c.slot] = &failures{}
		}
		w.failed[c.slot].n++
		w.failed[c.slot].at = w.now
	}
}

func (w *watch) start(a pool.StartChild) {
	switch live := w.pool.Live(); {
	case w.closed:
		w.complain("child %d is started after the end", a.Child)
	case a.Generation != w.usable || w.usable == 0:
		w.complain("child %d is started from generation %d, usable is %d", a.Child, a.Generation, w.usable)
	case live > w.pool.Size()+w.cfg.Surge:
		w.complain("%d children live, with %d slots and surge %d", live, w.pool.Size(), w.cfg.Surge)
	}
	if f := w.failed[a.Slot]; f != nil && f.n >= 2 && w.now.Sub(f.at) < w.cfg.BackoffMin {
		w.complain("slot %d starts %s after failure %d in a row", a.Slot, w.now.Sub(f.at), f.n)
	}
}

func (w *watch) kill(k pool.Kill) {
	c := w.children[k.Child]
	if k.Task != c.task {
		w.complain("kill of child %d for task %d, it runs %d", k.Child, k.Task, c.task)
	}
	if k.Signal == "SIGTERM" && c.termAt.IsZero() {
		c.termAt = w.now
	}
	if k.Signal != "SIGKILL" {
		return
	}
	atOnce := w.scarce || c.demanded || w.closed && !c.ready
	grace := min(w.cfg.KillGrace, w.cfg.HardLimitGrace, w.cfg.CutoffGrace)
	if !atOnce && !c.termAt.IsZero() && w.now.Sub(c.termAt) < grace {
		w.complain("child %d gets SIGKILL (%s) %s after SIGTERM", k.Child, k.Reason, w.now.Sub(c.termAt))
	}
	if !atOnce && c.termAt.IsZero() && c.ready {
		w.complain("child %d gets SIGKILL (%s) without SIGTERM", k.Child, k.Reason)
	}
	c.killed = true
}

// state checks what can be asked.
func (w *watch) state() {
	if live := w.pool.Live(); live != len(w.children) {
		w.complain("%d children live, the pool says %d", len(w.children), live)
	}
	takers := map[pool.SlotID]int{}
	for id, c := range w.children {
		if !w.pool.MayTake(id) {
			if w.pool.Room(id) != 0 {
				w.complain("child %d may take nothing and has room", id)
			}
			continue
		}
		if takers[c.slot]++; takers[c.slot] > 1 {
			w.complain("slot %d has %d children that may take tasks", c.slot, takers[c.slot])
		}
		if c.retired || !c.ready || c.state != pool.Ready {
			w.complain("child %d may take tasks and is %s", id, c.state)
		}
	}
}
