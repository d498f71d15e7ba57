package pool_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"crisper/supervisor/pool"
	"crisper/supervisor/pool/script"
)

// world is what the pool believes to be outside: zygotes, children that fork,
// work and misbehave, and somebody who feeds them. It is deterministic by its
// seed and takes down all it does as a script.
type world struct {
	rng      *rand.Rand
	cfg      pool.Config
	pool     *pool.Pool
	watch    *watch
	start    time.Time
	now      time.Time
	agenda   agenda
	order    int
	procs    map[pool.ChildID]*proc
	gen      pool.Generation // last number used
	alive    pool.Generation // zygote that can fork; 0: none
	benign   bool            // no more faults
	doomed   bool            // nobody gets ready
	feeding  bool
	task     pool.TaskID
	lines    []string // the script
	said     []string // the actions, as the script language writes them
	acts     []pool.Action
	lastLine time.Time
}

// proc is a child.
type proc struct {
	id              pool.ChildID
	forked, ready   bool
	mute            bool // its zygote never answers
	queue           int  // tasks in its socket
	task            pool.TaskID
	hangs           bool // this task never ends by itself
	stop            bool
	stubborn, dying bool
	memory          int64
}

type item struct {
	at    time.Time
	order int
	do    func()
}

type agenda []item

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(item)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// later puts something on the agenda.
func (w *world) later(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.agenda, item{w.now.Add(d), w.order, do})
}

// soon is a random time from lo to hi.
func (w *world) soon(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)))
}

// chance is true once in so many, unless the world is benign.
func (w *world) chance(oneIn int) bool { return !w.benign && w.rng.IntN(oneIn) == 0 }

// run lets the world go on for a while, or until the pool is drained.
func (w *world) run(d time.Duration) error {
	end := w.now.Add(d)
	for spins := 0; w.watch.err == nil && !w.watch.drained; {
		wake := w.pool.NextWake()
		next := end
		if len(w.agenda) > 0 && w.agenda[0].at.Before(end) {
			next = w.agenda[0].at
		}
		if !wake.IsZero() && !wake.After(next) {
			if spins++; spins > 1000 {
				return fmt.Errorf("the pool wants to be woken at %s for ever", wake.Sub(w.start))
			}
			w.advance(wake)
			w.act(w.pool.Tick(w.now, w.acts[:0]))
			continue
		}
		spins = 0
		w.advance(next)
		if len(w.agenda) == 0 || w.agenda[0].at.After(next) {
			return w.watch.err
		}
		heap.Pop(&w.agenda).(item).do()
	}
	return w.watch.err
}

func (w *world) advance(to time.Time) {
	if to.After(w.now) {
		w.now = to
	}
	w.watch.now = w.now
}

// tell gives the pool an event and does what it says.
func (w *world) tell(ev pool.Event) {
	if w.watch.err != nil || w.watch.drained {
		return
	}
	line := script.Event(ev, w.now)
	if d := w.now.Sub(w.lastLine); d > 0 {
		line = fmt.Sprintf("+%s %s", d, line)
	}
	w.lines, w.lastLine = append(w.lines, line), w.now
	w.watch.event(ev)
	w.act(w.pool.Step(w.now, ev, w.acts[:0]))
}

func (w *world) act(acts []pool.Action) {
	w.acts = acts
	if w.watch.actions(acts) != nil {
		return
	}
	for _, a := range acts {
		w.said = append(w.said, script.Action(a))
		switch a := a.(type) {
		case pool.StartChild:
			w.fork(a)
		case pool.Retire:
			w.takeBack(w.procs[a.Child])
		case pool.Stop:
			w.stop(w.procs[a.Child])
		case pool.Interrupt:
			w.interrupt(w.procs[a.Child], a.Task)
		case pool.Kill:
			w.signal(w.procs[a.Child], a.Signal)
		case pool.StartGeneration:
			w.preload(8)
		}
	}
}

// fork starts a child, or does not, or never answers.
func (w *world) fork(a pool.StartChild) {
	c := &proc{id: a.Child, stubborn: w.chance(6), memory: 20 << 20}
	w.procs[c.id] = c
	if a.Generation != w.alive || w.chance(20) {
		w.later(w.soon(time.Millisecond, 5*time.Millisecond), func() { w.forkFailed(c, "no zygote") })
		return
	}
	if c.mute = w.chance(50); c.mute {
		return
	}
	w.later(w.soon(time.Millisecond, 3*time.Millisecond), func() {
		if c.dying = c.dying && c.forked; w.procs[c.id] == c && !c.forked {
			c.forked = true
			w.tell(pool.ChildForked{Child: c.id, PID: 1000 + int(c.id)})
		}
	})
	switch {
	case w.doomed, w.chance(10):
		w.later(w.soon(3*time.Millisecond, 100*time.Millisecond), func() { w.exit(c, "exit status 1") })
	case w.chance(40): // never ready
	default:
		w.later(w.soon(2*time.Millisecond, 20*time.Millisecond), func() {
			if w.procs[c.id] == c {
				c.ready = true
				w.tell(pool.ChildReady{Child: c.id})
			}
		})
	}
}

func (w *world) forkFailed(c *proc, why string) {
	if w.procs[c.id] == c {
		delete(w.procs, c.id)
		w.tell(pool.ForkFailed{Child: c.id, Reason: why})
	}
}

func (w *world) exit(c *proc, status string) {
	if w.procs[c.id] == c {
		delete(w.procs, c.id)
		w.tell(pool.ChildExited{Child: c.id, Status: status, OK: status == "exit status 0"})
	}
}

// preload makes the next zygote ready, or, once in so many, lets it die first.
func (w *world) preload(oneIn int) {
	w.gen++
	g, dies := w.gen, w.chance(oneIn)
	w.later(w.soon(50*time.Millisecond, 500*time.Millisecond), func() {
		switch {
		case dies:
			w.tell(pool.GenerationLost{Generation: g})
		case g > w.alive:
			w.alive = g
			w.tell(pool.GenerationReady{Generation: g})
		}
	})
}

// takeBack empties the socket, unless the child was quicker by one task.
func (w *world) takeBack(c *proc) {
	quick := c.queue > 0 && w.chance(4)
	if c.queue = 0; quick {
		c.queue = 1
	}
}

// feed sends tasks to whoever may take some.
func (w *world) feed() {
	for id := pool.ChildID(1); id <= pool.ChildID(w.order); id++ {
		c := w.procs[id]
		if c == nil || !w.pool.MayTake(id) || w.rng.IntN(3) == 0 {
			continue
		}
		if c.queue < min(2, w.pool.Room(id)) {
			c.queue++
			w.later(w.soon(0, time.Millisecond)+1, func() { w.begin(c) })
		}
	}
	if w.feeding {
		w.later(w.soon(time.Millisecond, 200*time.Millisecond), w.feed)
	}
}
