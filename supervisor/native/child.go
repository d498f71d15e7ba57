package native

import (
	"fmt"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/agent"
	"crisper/supervisor/ledger"
	"crisper/supervisor/pool"
	"crisper/supervisor/reaper"
	"crisper/supervisor/wire"
)

// child is one executor as the loop knows it. All fields are owned by the loop;
// the reader goroutine uses link only.
type child struct {
	id         pool.ChildID
	slot       pool.SlotID
	generation pool.Generation
	pid        int
	link       *wire.Conn
	page       *wire.Page
	ready      bool
	retired    bool
	broken     bool // it spoke nonsense: what it says of its tasks is not believed
	// promised are deliveries that the broker is being told about and that will
	// be sent here; waiting are those in its socket; expected is how long all of
	// them will take, in seconds.
	promised, waiting int
	filling           bool // being filled up with short tasks
	expected          float64
	headBegun         time.Time
	busy              bool
	kill              pool.Kill // the first Kill sent, zero if none
	killDetail        string    // its numbers, for people
	spills            map[ledger.Seq]*wire.SpillFile
	// The end: both are needed before it is buried.
	status *reaper.Status
	silent bool
}

// idle: it has nothing and is promised nothing.
func (c *child) idle() bool { return !c.busy && c.waiting == 0 && c.promised == 0 }

// startChild carries out pool.StartChild.
func (l *loop) startChild(a pool.StartChild) {
	c := &child{id: a.Child, slot: a.Slot, generation: a.Generation}
	if err := l.fork(c); err != nil {
		l.log.Error("cannot start child", zap.Int("slot", int(a.Slot)), zap.Error(err))
		l.closeChild(c)
		l.step(pool.ForkFailed{Child: a.Child, Reason: err.Error()})
		return
	}
	l.children[c.id] = c
	l.inOrder = append(l.inOrder, c)
}

func (l *loop) fork(c *child) error {
	z := l.zygotes[c.generation]
	if z == nil || !z.loaded {
		return fmt.Errorf("cannot fork from generation %d: it is gone", c.generation)
	}
	link, theirs, err := wire.Pair()
	if err != nil {
		return fmt.Errorf("cannot make a socket for a child: %w", err)
	}
	c.link = link
	defer theirs.Close()
	if c.page, err = wire.NewPage(); err != nil {
		return fmt.Errorf("cannot make a page for a child: %w", err)
	}
	c.page.SetResults(l.remote.sender.Wants())
	return z.proc.Fork(agent.ForkRequest{
		Child: uint64(c.id), Role: "executor", Slot: int(c.slot), Generation: int(c.generation),
		Index: int(c.slot) + 1, OOMScoreAdj: l.cfg.OOMScoreAdj, Results: l.cfg.Results,
	}, theirs, c.page.File())
}

// childForked registers the process with the reaper and begins to listen.
func (l *loop) childForked(id pool.ChildID, pid int) {
	c := l.children[id]
	if c == nil {
		// It was given up meanwhile; without a socket it leaves by itself.
		l.deps.Reaper.Watch(pid, func(reaper.Status) {})
		return
	}
	c.pid = pid
	l.deps.Reaper.Watch(pid, func(st reaper.Status) { l.post(childExited{child: id, status: st}) })
	link := c.link
	l.goes(func() { l.listen(id, link) })
	l.step(pool.ChildForked{Child: id, PID: pid})
}

// listen reads a child's frames until its socket ends. It owns buf; the loop
// gets a copy of each batch.
func (l *loop) listen(id pool.ChildID, link *wire.Conn) {
	buf := make([]byte, 0, 4<<10)
	for {
		batch, err := link.Receive(buf[:0])
		if len(batch) > 0 {
			l.post(childSpoke{child: id, frames: append([]byte(nil), batch...)})
		}
		if err != nil {
			l.post(childSilent{child: id, err: err})
			return
		}
		if cap(batch) <= 64<<10 {
			buf = batch // a larger one was for a flood
		}
	}
}

func (l *loop) childSpoke(e childSpoke) {
	c := l.children[e.child]
	if c == nil || c.broken {
		return
	}
	for rest := e.frames; len(rest) > 0; {
		frame, more, err := wire.Parse(rest)
		if err == nil {
			err = l.frame(c, frame)
		}
		if err != nil {
			l.broken(c, err)
			return
		}
		rest = more
	}
}

// broken ends one child that spoke nonsense; nobody else notices.
func (l *loop) broken(c *child, err error) {
	c.broken = true
	l.log.Error("child broke the protocol", zap.Int("slot", int(c.slot)), zap.Int("pid", c.pid), zap.Error(err))
	l.step(pool.FrameBroken{Child: c.id, Reason: err.Error()})
}

func (l *loop) frame(c *child, f wire.Frame) error {
	switch f.Kind {
	case wire.Hello:
		c.ready = true
		l.step(pool.ChildReady{Child: c.id})
		return nil
	case wire.Begun:
		return l.taskBegun(c, ledger.Seq(f.Seq))
	case wire.Done:
		report, err := wire.ParseDone(f.Payload)
		if err != nil {
			return err
		}
		return l.taskDone(c, ledger.Seq(f.Seq), report)
	default:
		return fmt.Errorf("cannot read a frame of kind %q from a child", byte(f.Kind))
	}
}

// childGone is called when the exit status is known and when the socket is
// silent; the second of the two buries it.
func (l *loop) childGone(c *child) {
	if c.status == nil || !c.silent {
		if c.status != nil {
			c.link.Finish() // whatever it said is in the socket: read that, then stop
		}
		return
	}
	l.forgetChild(c)
	l.sayExit(c)
	l.takeBack(c) // what it never read
	lost := l.buried(c)
	l.step(pool.ChildExited{Child: c.id, Status: c.status.String(), OK: c.status.OK()})
	l.closeChild(c)
	for _, e := range lost {
		l.taskLost(e, c)
	}
}

// buried ends the account of a dead child and returns what it was doing: the task
// that it had begun, or all that it had read when its word is worth nothing.
func (l *loop) buried(c *child) []*entry {
	if c.broken {
		return l.book.Surrender(ledger.Child(c.id))
	}
	if active := l.book.Bury(ledger.Child(c.id)); active != nil {
		return []*entry{active}
	}
	return nil
}

func (l *loop) forgetChild(c *child) {
	delete(l.children, c.id)
	l.inOrder = slices.DeleteFunc(l.inOrder, func(o *child) bool { return o == c })
}

func (l *loop) closeChild(c *child) {
	for _, s := range c.spills {
		s.Close()
	}
	if c.link != nil {
		c.link.Close()
	}
	if c.page != nil {
		c.page.Close()
	}
}

// retire carries out pool.Retire: nothing more goes in, what it has not begun
// comes back.
func (l *loop) retire(c *child) {
	c.retired = true
	l.takeBack(c)
}

// takeBack empties the child's socket.
func (l *loop) takeBack(c *child) {
	if c.waiting == 0 {
		return
	}
	frames, err := c.link.Reclaim()
	if err != nil {
		l.log.Warn("cannot take deliveries back from a child", zap.Int("pid", c.pid), zap.Error(err))
	}
	seqs := make([]ledger.Seq, 0, len(frames))
	for _, f := range frames {
		if f.Kind == wire.Task || f.Kind == wire.Large {
			seqs = append(seqs, ledger.Seq(f.Seq))
		}
	}
	if err := l.book.TakeBack(ledger.Child(c.id), seqs); err != nil {
		l.bug("cannot take back", err)
		return
	}
	for _, s := range seqs {
		c.unexpect(l.book.Get(s))
		c.closeSpill(s)
	}
	c.waiting -= len(seqs)
}

func (c *child) closeSpill(s ledger.Seq) {
	if f := c.spills[s]; f != nil {
		f.Close()
		delete(c.spills, s)
	}
}

// expect adds what the task will probably take to what the child has to do;
// unexpect takes the same off again, whatever has been learned meanwhile.
func (c *child) expect(e *entry) {
	e.Data.estimate = e.Data.kind.mean
	c.expected += e.Data.estimate
}

func (c *child) unexpect(e *entry) {
	c.expected -= e.Data.estimate
	if e.Data.estimate = 0; c.idle() {
		c.expected = 0 // sums of fractions drift
	}
}

// stop carries out pool.Stop.
func (l *loop) stop(c *child) {
	frame := wire.AppendFrame(nil, wire.Exit, 0, nil)
	if ok, err := c.link.TrySend(frame); err != nil || !ok {
		l.log.Debug("cannot ask child to leave", zap.Int("pid", c.pid), zap.Error(err))
	}
}

// signal sends a signal by name to a child that has not been reaped.
func (l *loop) signal(c *child, sig os.Signal) {
	if c.pid == 0 {
		return
	}
	if err := l.deps.Reaper.Signal(c.pid, sysSignal(sig)); err != nil {
		l.log.Debug("cannot signal child", zap.Int("pid", c.pid), zap.Error(err))
	}
}
