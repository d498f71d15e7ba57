package native

import (
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/ledger"
	"crisper/supervisor/pool"
	"crisper/supervisor/wire"
)

// dispatch gives what waits to the children that may have it.
func (l *loop) dispatch() {
	if l.draining {
		return
	}
	for e := l.book.Front(); e != nil; e = l.book.Front() {
		c := l.choose(e)
		if c == nil {
			return
		}
		if fate := l.consumer.AtStart(l.now, &e.Delivery.Message); fate != nil {
			l.turnAway(e, fate)
			continue
		}
		if e.Early && !e.Accepted {
			l.promise(e, c)
			continue
		}
		if !l.send(e, c) {
			return
		}
	}
}

// choose finds a child for this delivery: an idle one, else, for a short task,
// the one that will be free first. nil if it has to wait.
func (l *loop) choose(e *entry) *child {
	kind := e.Data.kind
	var best *child
	for _, c := range l.inOrder {
		if !c.ready || c.retired || !l.pool.MayTake(c.id) {
			continue
		}
		if c.idle() {
			if l.room(c) > 0 {
				return c
			}
			continue
		}
		if l.mayQueue(c, kind) && (best == nil || c.expected < best.expected) {
			best = c
		}
	}
	return best
}

// room is how many more deliveries the child may be given before it has to be
// recycled.
func (l *loop) room(c *child) int { return l.pool.Room(c.id) - c.waiting - c.promised }

// mayQueue: this task may lie ready behind what the child has. A child is filled
// up when it is half empty, so that promises go to the broker in batches.
func (l *loop) mayQueue(c *child, kind *taskKind) bool {
	if l.cfg.Depth <= 1 || !kind.short() {
		return false
	}
	switch has := c.waiting + c.promised; {
	case has <= l.cfg.Depth/2 && c.expected <= lookahead.Seconds()/2:
		c.filling = true
	case has >= l.cfg.Depth || c.expected+kind.mean > lookahead.Seconds():
		c.filling = false
	}
	return c.filling && l.room(c) > 0 &&
		(!c.busy || l.now.Sub(c.headBegun) < shortTask)
}

// promise tells the broker that the task starts; it is sent when that is confirmed.
func (l *loop) promise(e *entry, c *child) {
	if err := l.book.Accept(e, ledger.Child(c.id)); err != nil {
		l.bug("cannot promise a delivery", err)
		return
	}
	c.promised++
	c.expect(e)
	l.tell(e, broker.Accept)
}

// accepted is the broker's confirmation of a promise.
func (l *loop) accepted(e *entry) {
	c := l.children[pool.ChildID(e.Child)]
	if c != nil {
		c.promised--
		c.unexpect(e)
	}
	if e.Lost {
		l.drop(e)
		return
	}
	if err := l.book.Accepted(e); err != nil {
		l.bug("cannot note an accepted delivery", err)
		return
	}
	if c != nil && !c.retired && !l.draining && l.pool.MayTake(c.id) {
		l.send(e, c)
	}
}

// send puts a delivery into the child's socket; false if it has to wait.
func (l *loop) send(e *entry, c *child) bool {
	frame, spill, err := l.frameOf(e)
	if err != nil {
		l.log.Error("cannot hand over a large delivery", zap.String("task_id", e.Delivery.Message.ID), zap.Error(err))
		return false
	}
	ok, err := c.link.TrySend(frame)
	if err != nil || !ok {
		if spill != nil {
			spill.Close()
		}
		if err != nil {
			c.retired = true // its end will be reported by the kernel
		}
		return false
	}
	if err := l.book.Send(e, ledger.Child(c.id)); err != nil {
		l.bug("cannot note a sent delivery", err)
	}
	if spill != nil {
		c.keepSpill(e.Seq, spill)
	}
	c.waiting++
	c.expect(e)
	return true
}

func (c *child) keepSpill(s ledger.Seq, f *wire.SpillFile) {
	if c.spills == nil {
		c.spills = make(map[ledger.Seq]*wire.SpillFile)
	}
	c.spills[s] = f
}

// frameOf encodes a delivery, through a file when it is too large for a packet.
func (l *loop) frameOf(e *entry) ([]byte, *wire.SpillFile, error) {
	l.scratch = wire.AppendTask(l.scratch[:0], uint64(e.Seq), &e.Delivery.Message, l.info.Hostname)
	if len(l.scratch) <= wire.MaxInline {
		return l.scratch, nil, nil
	}
	spill, err := wire.Spill(l.scratch[wire.HeaderSize:])
	if err != nil {
		return nil, nil, err
	}
	l.scratch = wire.AppendLarge(l.scratch[:0], uint64(e.Seq), wire.Task, spill.Path())
	return l.scratch, spill, nil
}

func (l *loop) taskBegun(c *child, seq ledger.Seq) error {
	e, err := l.book.Begin(ledger.Child(c.id), seq)
	if err != nil {
		return err
	}
	c.waiting--
	c.busy, c.headBegun = true, l.now
	c.closeSpill(seq)
	e.Data.begun = l.now
	l.started(e)
	l.step(pool.TaskBegan{Child: c.id, Task: pool.TaskID(seq), Soft: e.Data.run.Soft, Hard: e.Data.run.Hard})
	if !e.Early && !e.Data.kind.short() {
		l.tell(e, broker.Begin)
	}
	return nil
}

// slowHeads takes back what waits behind tasks that turned out slow, so that it
// can go to a child that is free. The kernel decides the race with a child that
// is just getting free.
func (l *loop) slowHeads() {
	for _, c := range l.inOrder {
		if c.busy && c.waiting > 0 && l.now.Sub(c.headBegun) >= slowAfter {
			l.takeBack(c)
		}
	}
}

// nextSlowHead is when slowHeads may have something to do.
func (l *loop) nextSlowHead() time.Time {
	var next time.Time
	for _, c := range l.inOrder {
		if c.busy && c.waiting > 0 {
			next = earliest(next, c.headBegun.Add(slowAfter))
		}
	}
	return next
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
