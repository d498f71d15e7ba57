package native

import (
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/consumer"
	"crisper/supervisor/ledger"
	"crisper/supervisor/ops"
	"crisper/supervisor/pool"
	"crisper/supervisor/wire"
)

// taskDone is an executor's report.
func (l *loop) taskDone(c *child, seq ledger.Seq, r wire.Report) error {
	e, err := l.book.End(ledger.Child(c.id), seq)
	if err != nil {
		return err
	}
	c.busy = false
	c.unexpect(e)
	e.Data.kind.observe(r.Runtime)
	l.overall.observe(r.Runtime)
	l.relist(e.Data.kind)
	l.progress = l.now
	l.finished(e, outcomeName(r.Outcome), r.Runtime, r.Exception, r.Traceback)
	l.tellEnded(e, r)
	l.step(pool.TaskEnded{Child: c.id, Task: pool.TaskID(seq)})
	l.verdict(e, r)
	return nil
}

// verdict settles a task whose end was reported, by Celery's matrix.
func (l *loop) verdict(e *entry, r wire.Report) {
	if e.Lost {
		l.log.Warn("a task ended whose delivery was restored by somebody else; it may run twice",
			zap.String("task", e.Data.kind.name), zap.String("task_id", e.Delivery.Message.ID))
		l.drop(e)
		return
	}
	verdict := verbOf(consumer.Settle(e.Data.kind.attr, r.Outcome))
	switch consumer.Asks(r.Outcome) {
	case "":
		l.settle(e, verdict, 0, "")
	case opReject:
		l.report(e, ask{op: opReject, args: map[string]any{"requeue": false, "reason": r.Exception}, then: verdict})
	case opInvalid:
		l.report(e, ask{op: opInvalid, message: r.Exception, then: verdict})
	default:
		l.reportFailure(e, "Worker exited prematurely: "+r.Exception)
	}
}

// started counts and shows a task that began.
func (l *loop) started(e *entry) {
	l.progress = l.now
	l.stuck = time.Time{}
	l.tellBegun(e)
}

// finished counts and shows a task that ended.
func (l *loop) finished(e *entry, outcome string, runtime time.Duration, exception, traceback string) {
	switch outcome {
	case "success":
		l.counts.Succeeded++
	case "failure", "exited", "out_of_memory":
		l.counts.Failed++
	case "retry":
		l.counts.Retried++
	case "reject", "requeue", "invalid":
		l.counts.Rejected++
	}
	l.metrics.TaskFinished(e.Data.kind.name, outcome, runtime)
	l.recent.add(recentTask{
		entry: e, outcome: outcome, runtime: runtime, at: l.now, exception: exception, traceback: traceback,
	})
}

func outcomeName(o wire.Outcome) string {
	switch o {
	case wire.Success:
		return "success"
	case wire.Failure:
		return "failure"
	case wire.Retry:
		return "retry"
	case wire.Ignored:
		return "ignore"
	case wire.Rejected:
		return "reject"
	case wire.RejectedAgain:
		return "requeue"
	case wire.Undecodable:
		return "undecodable"
	case wire.Invalid:
		return "invalid"
	case wire.Exited:
		return "exited"
	case wire.OutOfMemory:
		return "out_of_memory"
	}
	return "unknown"
}

// recentTask is a finished task kept for the state page; the message is looked
// at only when somebody asks.
type recentTask struct {
	entry                *entry
	outcome              string
	runtime              time.Duration
	at                   time.Time
	exception, traceback string
}

func (r recentTask) state() ops.RecentTask {
	m := &r.entry.Delivery.Message
	return ops.RecentTask{
		ID: m.ID, Name: m.Task, Outcome: r.outcome, RuntimeSeconds: r.runtime.Seconds(),
		FinishedAt: r.at, Exception: r.exception, Traceback: r.traceback,
	}
}

// ring keeps the last n of something.
type ring[T any] struct {
	items []T
	next  int
	full  bool
}

func newRing[T any](n int) ring[T] { return ring[T]{items: make([]T, n)} }

func (r *ring[T]) add(v T) {
	r.items[r.next] = v
	r.next = (r.next + 1) % len(r.items)
	r.full = r.full || r.next == 0
}

// newestFirst calls f for each item, the newest first.
func (r *ring[T]) newestFirst(f func(T)) {
	n := r.next
	if r.full {
		n = len(r.items)
	}
	for i := 1; i <= n; i++ {
		f(r.items[(r.next-i+len(r.items))%len(r.items)])
	}
}
