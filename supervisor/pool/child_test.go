package pool_test

import (
	"time"

	"crisper/supervisor/pool"
)

// begin lets an idle child take the next task from its socket.
func (w *world) begin(c *proc) {
	if w.procs[c.id] != c || c.task != 0 || c.queue == 0 || c.dying {
		return
	}
	c.queue--
	w.task++
	c.task, c.hangs = w.task, w.chance(60)
	ev := pool.TaskBegan{Child: c.id, Task: c.task}
	if w.rng.IntN(3) == 0 {
		ev.Soft = w.soon(time.Millisecond, 5*time.Second)
	}
	if w.rng.IntN(3) == 0 || c.hangs {
		ev.Hard = w.soon(time.Millisecond, 5*time.Second)
	}
	task, lasts := c.task, w.soon(time.Millisecond, 50*time.Millisecond)
	if w.rng.IntN(10) == 0 {
		lasts = w.soon(time.Millisecond, 8*time.Second)
	}
	switch {
	case w.chance(40):
		w.later(lasts, func() { w.crashIn(c, task) })
	case !c.hangs:
		w.later(lasts, func() { w.finish(c, task) })
	}
	w.tell(ev)
}

func (w *world) finish(c *proc, task pool.TaskID) {
	if w.procs[c.id] != c || c.task != task {
		return
	}
	c.task = 0
	if c.memory += w.rng.Int64N(20 << 20); w.chance(10) {
		c.memory = 20 << 20
	}
	w.tell(pool.TaskEnded{Child: c.id, Task: task})
	if c.queue > 0 {
		w.begin(c)
		return
	}
	w.leave(c)
}

func (w *world) crashIn(c *proc, task pool.TaskID) {
	if c.task == task {
		w.exit(c, "signal 11 (SIGSEGV)")
	}
}

// interrupt ends a task by its soft limit, unless it catches that.
func (w *world) interrupt(c *proc, task pool.TaskID) {
	if !w.chance(3) {
		w.later(w.soon(0, time.Millisecond)+1, func() { w.finish(c, task) })
	}
}

func (w *world) stop(c *proc) {
	c.stop = true
	if c.queue > 0 {
		w.later(w.soon(0, time.Millisecond)+1, func() { w.begin(c) })
		return
	}
	w.leave(c)
}

// leave exits when told to and idle, unless it hangs.
func (w *world) leave(c *proc) {
	if c.stop && c.task == 0 && !w.chance(20) {
		w.later(w.soon(time.Millisecond, 20*time.Millisecond), func() {
			if c.task == 0 {
				w.exit(c, "exit status 0")
			}
		})
	}
}

// signal ends a child, unless there is none or it does not care.
func (w *world) signal(c *proc, name string) {
	switch {
	case c.mute && name == "SIGKILL":
		w.later(time.Millisecond, func() { w.forkFailed(c, "no such child") })
	case c.mute, name == "SIGUSR1", name != "SIGKILL" && c.stubborn:
	case !c.forked && !c.ready: // the pool repeats it when it is forked
	default:
		status := map[string]string{"SIGTERM": "signal 15 (SIGTERM)", "SIGKILL": "signal 9 (SIGKILL)"}[name]
		c.dying = true
		w.later(w.soon(time.Millisecond, 5*time.Millisecond), func() { w.exit(c, status) })
	}
}

// any is a random child, nil if there is none.
func (w *world) any() *proc {
	var found *proc
	n := 0
	for id := pool.ChildID(1); id <= pool.ChildID(w.order); id++ {
		if c := w.procs[id]; c != nil {
			if n++; w.rng.IntN(n) == 0 {
				found = c
			}
		}
	}
	return found
}

// measure tells of memory, every now and then.
func (w *world) measure() {
	var ev pool.MemoryMeasured
	total := int64(100 << 20)
	for id := pool.ChildID(1); id <= pool.ChildID(w.order); id++ {
		if c := w.procs[id]; c != nil && c.ready {
			if c.task != 0 && w.chance(10) {
				c.memory += 150 << 20
			}
			ev.Children = append(ev.Children, pool.ChildMemory{Child: id, Bytes: c.memory})
			total += c.memory
		}
	}
	w.tell(ev)
	w.tell(pool.CgroupMeasured{Current: total, Limit: 1000 << 20})
	w.later(w.soon(100*time.Millisecond, 500*time.Millisecond), w.measure)
}

// disturb does to the pool what happens to pools.
func (w *world) disturb() {
	if w.benign {
		return
	}
	w.later(w.soon(10*time.Millisecond, 2*time.Second), w.disturb)
	c := w.any()
	switch w.rng.IntN(8) {
	case 0:
		if g := w.alive; g != 0 {
			w.alive = 0
			w.tell(pool.GenerationLost{Generation: g})
		}
	case 1:
		w.preload(4)
	case 2:
		w.tell(pool.Resized{Slots: w.rng.IntN(7)})
	case 3:
		if c != nil && c.forked {
			w.tell(pool.FrameBroken{Child: c.id, Reason: "nonsense"})
		}
	case 4, 5:
		if c != nil {
			signal := []string{"SIGTERM", "SIGKILL", "SIGUSR1"}[w.rng.IntN(3)]
			w.tell(pool.TerminateRequested{Child: c.id, Task: pool.TaskID(max(0, int(w.task)-w.rng.IntN(3))), Signal: signal})
		}
	default:
		if c != nil && c.forked {
			w.exit(c, "signal 9 (SIGKILL)")
		}
	}
}
