package native

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/agent"
	"crisper/supervisor/consumer"
	"crisper/supervisor/events"
	"crisper/supervisor/ledger"
)

// takeBatch bounds one Take; unlimitedPrefetch stands for a multiplier of 0.
const (
	takeBatch         = 128
	unlimitedPrefetch = 10_000
)

// take asks the broker for as much as our credit allows, if it may have some.
func (l *loop) take() {
	if l.taking || l.draining || !l.connected || l.exhausted || l.cfg.Purge || l.remote.waits > 0 {
		return
	}
	n := min(l.credit(), takeBatch)
	// Small takes are worth a round trip only when somebody would be idle otherwise.
	if n <= 0 || (n < l.window()/2 && l.book.Front() != nil) {
		return
	}
	r := takeRequest{n: n, start: l.startable()}
	if l.fillsUp() && !l.fillUp(&r) {
		return
	}
	l.taking = true
	l.toTaker <- r // capacity 1 and one take at a time: never blocks
}

// takeRequest asks for n deliveries. The first start of them may be recorded as begun,
// and those that follow while they are tasks of the names in short.
type takeRequest struct {
	n, start int
	short    []string
}

// startable is how many of the next deliveries begin at once: idle children, when
// nobody else waits for them. Their start is recorded in the step that takes them.
func (l *loop) startable() int {
	if !l.mayStart() || l.book.Front() != nil {
		return 0
	}
	n := 0
	for _, c := range l.inOrder {
		if c.ready && !c.retired && c.idle() && l.room(c) > 0 && l.pool.MayTake(c.id) {
			n++
		}
	}
	return n
}

// allStartEarly tells whether every task may be recorded as begun before its name is
// known: none is acknowledged late, none waits for a rate.
func allStartEarly(info agent.Info) bool {
	for _, t := range info.Tasks {
		if t.AcksLate || !(len(t.RateLimit) == 0 || string(t.RateLimit) == "null") {
			return false
		}
	}
	return true
}

// credit is how many more deliveries we may hold.
//
// Celery: unacknowledged deliveries <= prefetch_multiplier × concurrency, an ETA
// task not counting while it waits (celery/worker/strategy.py); with
// worker_disable_prefetch, reserved <= concurrency.
func (l *loop) credit() int {
	held := l.book.Len() - l.book.Count(ledger.Scheduled) - l.book.Count(ledger.Settling)
	limit := l.limitETA(l.window()) - (held - l.book.AcceptedCount())
	if l.cfg.DisablePrefetch || l.paused {
		return min(limit, l.pool.Size()-held)
	}
	return limit
}

// limitETA leaves of the window what worker_eta_task_limit allows beside the messages
// that wait for their ETA, which the window does not count.
//
// Celery: the limit bounds what the prefetch count may be raised to, so it bounds all
// that is unacknowledged, not only what has an ETA; it says nothing where nothing waits
// or the prefetch count is unlimited (worker/consumer/tasks.py; kombu/common.py, QoS). Its
// count falls by one too many for each message that came above the limit; ours does not.
func (l *loop) limitETA(window int) int {
	limit, waiting := l.cfg.ETALimit, l.book.Count(ledger.Scheduled)
	if limit == 0 || l.cfg.PrefetchMultiplier == 0 {
		return window
	}
	if waiting == 0 {
		limit = max(limit, l.cfg.PrefetchMultiplier*l.maxSlots())
	}
	return min(window, limit-waiting)
}

// window is the prefetch limit, and for short tasks what may lie in the sockets.
func (l *loop) window() int {
	limit := unlimitedPrefetch
	if l.cfg.PrefetchMultiplier > 0 {
		limit = l.cfg.PrefetchMultiplier * l.maxSlots()
	}
	if l.overall.short() {
		limit += l.cfg.Depth * l.pool.Size()
	}
	return limit
}

// taker carries takes to the broker.
func (l *loop) taker(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-l.toTaker:
			call, cancel := context.WithTimeout(ctx, brokerTimeout)
			began := l.deps.Now()
			ds, err := l.takeFrom(call, r)
			cancel()
			l.post(taken{deliveries: ds, asked: r.n, took: l.deps.Now().Sub(began), err: err})
		}
	}
}

func (l *loop) takeFrom(ctx context.Context, r takeRequest) ([]broker.Delivery, error) {
	if s, ok := l.broker.(broker.Starter); ok && r.start+len(r.short) > 0 {
		return s.TakeStarted(ctx, r.n, r.start, r.short...)
	}
	return l.broker.Take(ctx, r.n)
}

func (l *loop) taken(ev taken) {
	l.taking = false
	l.takesEnded++
	l.metrics.Takes(len(ev.deliveries), ev.took)
	if ev.err != nil {
		l.brokerFailed("cannot take", ev.err)
	} else if len(ev.deliveries) < ev.asked && !l.woken {
		l.exhausted, l.exhaustedAt = true, l.now
	}
	l.woken = false
	for i := range ev.deliveries {
		l.receive(ev.deliveries[i])
	}
}

// receive enters one delivery and decides its fate.
func (l *loop) receive(d broker.Delivery) {
	e, err := l.book.Take(d)
	if errors.Is(err, ledger.ErrTwice) {
		// The broker gave us what it had restored from us: the old hold is over.
		l.lose(l.book.ByTag(d.Tag))
		e, err = l.book.Take(d)
	}
	if err != nil {
		l.bug("cannot enter a delivery", err)
		return
	}
	m := &e.Delivery.Message
	e.Data.kind = l.kindOf(m.Task)
	e.Early = d.Started || !e.Data.kind.attr.AcksLate
	l.metrics.TaskReceived(e.Data.kind.name, d.Queue)
	l.counts.Received++
	if l.draining {
		l.settle(e, broker.Restore, 0, "")
		return
	}
	fate := l.consumer.Receive(l.now, m, d.Deaths)
	if l.logInfo && isTask(fate) {
		l.log.Info("Task "+events.Name(m)+"["+m.ID+"] received", zap.String("task", m.Task), zap.String("task_id", m.ID), zap.String("queue", d.Queue))
	}
	l.meet(e, fate)
}

// isTask tells whether a delivery is a task that we know, and readable: Celery says of
// no other that it was received (worker/strategy.py, worker/consumer/consumer.py).
func isTask(fate consumer.Fate) bool {
	switch fate.(type) {
	case consumer.Unknown, consumer.Unroutable, consumer.Undecodable, consumer.Invalid:
		return false
	}
	return true
}

// meet acts on a fate.
func (l *loop) meet(e *entry, fate consumer.Fate) {
	switch f := fate.(type) {
	case consumer.Run:
		e.Data.run = f
		l.admit(e, time.Time{})
	case consumer.Wait:
		e.Data.run = f.Run
		l.admit(e, f.Until)
	default:
		l.turnAway(e, fate)
	}
}

func (l *loop) reserve(e *entry) {
	if l.heldBack(e) {
		return
	}
	if err := l.book.Reserve(e); err != nil {
		l.bug("cannot reserve a delivery", err)
	}
}

// due reserves what has waited long enough.
func (l *loop) due() {
	for _, e := range l.book.Due(l.now) {
		l.reserve(e)
	}
	l.releaseLimited()
}

func (l *loop) brokerSaid(ev broker.Event) {
	switch e := ev.(type) {
	case broker.Connected:
		l.onConnected(e)
	case broker.Disconnected:
		l.onDisconnected(e)
	case broker.Ready:
		// It may overtake the answer of the Take that it belongs to.
		l.exhausted, l.woken = false, l.taking
	case broker.Gone:
		for _, tag := range e.Tags {
			if held := l.book.ByTag(tag); held != nil {
				l.lose(held)
			}
		}
	case broker.Orphaned:
		l.orphaned(e)
	case broker.PeerRestored:
		l.log.Warn("restored what a dead peer held", zap.String("peer", e.Peer), zap.Int("deliveries", e.Count))
		l.metrics.Restored(e.Count)
		l.counts.Restored += int64(e.Count)
		l.exhausted = false
	}
}

// purge discards what waits, once, before anything is taken.
func (l *loop) purge() {
	p, ok := l.broker.(broker.Purger)
	if !ok {
		l.log.Error("this broker cannot be purged")
		l.cfg.Purge = false
		return
	}
	l.goes(func() {
		call, cancel := context.WithTimeout(l.ctx, brokerTimeout)
		defer cancel()
		n, err := p.Purge(call)
		l.post(asked{func(l *loop) { l.purged(n, err) }})
	})
}

func (l *loop) purged(n int64, err error) {
	if err != nil {
		l.brokerFailed("cannot purge", err) // again with the next connection
		return
	}
	l.cfg.Purge = false
	if n > 0 { // Celery: apps/worker.py, purge_messages
		l.log.Warn("purge: Erased "+counted(n, "message")+" from the queue.", zap.Int64("messages", n))
	}
}

func counted(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (l *loop) onConnected(e broker.Connected) {
	if l.cfg.Purge {
		l.purge()
	}
	l.mingle()
	l.connected, l.exhausted = true, false
	l.brokerState.Connected, l.brokerState.Server, l.brokerState.Since, l.brokerState.Error = true, e.Server, l.now, ""
	l.metrics.BrokerConnected(true)
	l.log.Info("Connected to "+e.Server, zap.String("server", e.Server))
}

func (l *loop) onDisconnected(e broker.Disconnected) {
	if l.brokerState.Connected {
		l.metrics.BrokerReconnect()
	}
	l.connected = false
	l.brokerState.Connected, l.brokerState.Since, l.brokerState.Error = false, l.now, e.Err.Error()
	l.metrics.BrokerConnected(false)
	l.log.Error("consumer: Cannot connect to "+e.Server+": "+e.Err.Error()+".",
		zap.Duration("retry", e.Retry), zap.Int("attempt", e.Attempt), zap.Int("limit", e.Limit))
}

// orphaned: tasks that a dead peer had begun and that nobody may run again are
// ours to record as failed.
func (l *loop) orphaned(ev broker.Orphaned) {
	l.log.Warn("a dead peer had begun tasks that may not run again; recording them as failed",
		zap.String("peer", ev.Peer), zap.Int("tasks", len(ev.Deliveries)))
	for _, d := range ev.Deliveries {
		e, err := l.book.Take(d)
		if err != nil {
			l.bug("cannot enter an orphan", err)
			continue
		}
		e.Data.kind = l.kindOf(d.Message.Task)
		e.Early = true
		l.counts.Lost++
		l.report(e, ask{op: opFail, message: "Worker " + ev.Peer + " was lost while it ran this task.", then: broker.Ack})
	}
}

// lookAgain is how long we believe that the queues are empty although nobody
// says otherwise: a wake-up that got lost may delay a task, not bury it.
const lookAgain = time.Minute

func (l *loop) doubt() {
	if l.exhausted && l.now.Sub(l.exhaustedAt) >= lookAgain {
		l.exhausted = false
	}
}
