package native

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/ledger"
)

// settlement is a verdict on its way to the broker.
type settlement struct {
	entry *entry
	broker.Settlement
}

// Limits of one batch and of one broker call.
const (
	settleBatch   = 256
	brokerTimeout = 10 * time.Second
)

// settle gives a verdict: the entry's last move.
func (l *loop) settle(e *entry, verb broker.Verb, deaths int, reason string) {
	if e.Lost {
		l.drop(e)
		return
	}
	if err := l.book.Settle(e, verb); err != nil {
		l.bug("cannot settle a delivery", err)
		return
	}
	l.withdrawBegin(e)
	l.pending = append(l.pending, settlement{e, broker.Settlement{
		Tag: e.Delivery.Tag, Verb: verb, Deaths: deaths, Reason: reason,
	}})
}

// tell informs the broker of a start (Begin, Accept).
func (l *loop) tell(e *entry, verb broker.Verb) {
	if e.Lost {
		return
	}
	l.pending = append(l.pending, settlement{e, broker.Settlement{Tag: e.Delivery.Tag, Verb: verb}})
}

// withdrawBegin drops a Begin that has not been sent yet: the verdict says more.
func (l *loop) withdrawBegin(e *entry) {
	for i := len(l.pending) - 1; i >= 0 && i >= len(l.pending)-64; i-- {
		if l.pending[i].entry == e && l.pending[i].Verb == broker.Begin {
			l.pending = append(l.pending[:i], l.pending[i+1:]...)
			return
		}
	}
}

// flush hands the next batch to the settler, one at a time: what gathers
// meanwhile makes the next batch.
func (l *loop) flush() {
	if l.settling || !l.connected {
		return
	}
	batch := l.retry
	l.retry = nil
	if len(batch) == 0 {
		if len(l.pending) == 0 || l.hold() {
			return
		}
		n := min(len(l.pending), settleBatch)
		if l.draining {
			n = len(l.pending) // what goes back keeps its order within one batch
		}
		batch = append([]settlement(nil), l.pending[:n]...)
		l.pending = l.pending[:copy(l.pending, l.pending[n:])]
	}
	l.settling = true
	l.toSettler <- batch // capacity 1 and one batch at a time: never blocks
}

// Acks are held back for a moment while tasks run, so that several go in one
// request: nobody waits for them. The window in which a finished task counts as
// unfinished, should we die, grows by as much.
const (
	holdAcks   = 5 * time.Millisecond
	heldAtMost = 32
)

// hold tells whether all that is pending can wait for company.
func (l *loop) hold() bool {
	busy := l.book.Count(ledger.Active)+l.book.Count(ledger.Queued) > 0
	wait := busy && !l.draining && len(l.pending) < heldAtMost
	for i := 0; wait && i < len(l.pending); i++ {
		wait = l.pending[i].Verb == broker.Ack
	}
	if wait && l.holding.IsZero() {
		l.holding = l.now
	}
	if wait && l.now.Sub(l.holding) < holdAcks {
		return true
	}
	l.holding = time.Time{}
	return false
}

// settler carries batches to the broker.
func (l *loop) settler(ctx context.Context) {
	var verdicts []broker.Settlement
	for {
		select {
		case <-ctx.Done():
			return
		case batch := <-l.toSettler:
			verdicts = verdicts[:0]
			for _, s := range batch {
				verdicts = append(verdicts, s.Settlement)
			}
			call, cancel := context.WithTimeout(ctx, brokerTimeout)
			gone, err := l.broker.Settle(call, verdicts)
			cancel()
			l.post(settled{batch: batch, gone: gone, err: err})
		}
	}
}

func (l *loop) settled(ev settled) {
	l.settling = false
	if ev.err != nil {
		l.retry = ev.batch
		l.brokerFailed("cannot settle", ev.err)
		return
	}
	gone := make(map[broker.Tag]bool, len(ev.gone))
	for _, tag := range ev.gone {
		gone[tag] = true
	}
	for _, s := range ev.batch {
		if len(gone) > 0 && gone[s.Tag] {
			l.lose(s.entry)
		}
		l.confirmed(s)
	}
}

// confirmed is the end of one verdict.
func (l *loop) confirmed(s settlement) {
	switch s.Verb {
	case broker.Begin:
	case broker.Accept:
		l.accepted(s.entry)
	default:
		if s.entry.Lost {
			l.drop(s.entry)
			return
		}
		if err := l.book.Settled(s.entry); err != nil {
			l.bug("cannot close a delivery", err)
			return
		}
		l.metrics.Settled(verbName(s.Verb), 1)
	}
}

// lose notes that a delivery is not ours any more.
func (l *loop) lose(e *entry) {
	if e.Lost {
		return
	}
	l.log.Warn("delivery was restored by somebody else while it was in our hands; it may run twice, nothing is settled for it",
		zap.String("task_id", e.Delivery.Message.ID), zap.String("task", e.Delivery.Message.Task),
		zap.Stringer("place", e.Place))
	l.book.Lose(e.Delivery.Tag)
}

// drop closes the books of a lost delivery.
func (l *loop) drop(e *entry) {
	if l.book.Get(e.Seq) != e {
		return
	}
	if err := l.book.Drop(e); err != nil {
		l.bug("cannot drop a delivery", err)
	}
}

// brokerFailed notes that a call did not get through. The client's own events
// say when it is back.
func (l *loop) brokerFailed(what string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	l.log.Warn(what, zap.Error(err))
	l.connected = false
}

func verbName(v broker.Verb) string {
	switch v {
	case broker.Begin:
		return "begin"
	case broker.Accept:
		return "accept"
	case broker.Ack:
		return "ack"
	case broker.Reject:
		return "reject"
	case broker.Requeue:
		return "requeue"
	case broker.Restore:
		return "restore"
	case broker.Park:
		return "park"
	}
	return "unknown"
}
