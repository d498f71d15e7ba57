package native

import (
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/consumer"
	"crisper/supervisor/events"
	"crisper/supervisor/pool"
)

// taskLost settles the task that a dead child was running, by the reason of the
// death and Celery's matrix (celery/worker/request.py on_failure, on_timeout).
// The steward runs Celery's own code, so Celery's own log lines come from there.
func (l *loop) taskLost(e *entry, c *child) {
	l.counts.Lost++
	if e.Lost {
		l.drop(e)
		return
	}
	var runtime time.Duration
	if !e.Data.begun.IsZero() {
		runtime = l.now.Sub(e.Data.begun)
	}
	l.finished(e, "lost", runtime, c.status.String(), "")
	switch c.kill.Reason {
	case pool.ReasonHardLimit:
		l.reportLoss(e, consumer.TimedOut, ask{args: map[string]any{"limit": c.kill.Limit.Seconds()}, died: true})
	case pool.ReasonTerminate:
		l.reportLoss(e, consumer.Terminated, ask{args: map[string]any{"reason": "terminated", "signum": int(sysSignalByName(c.kill.Signal))}})
	case pool.ReasonCutoff:
		l.cutOff(e)
	default:
		l.reportFailure(e, fmt.Sprintf("Worker exited prematurely: %s%s Job: %d.", inCelerysWords(l.explainDeath(c)), c.killDetail, e.Seq))
	}
}

// sayExit is Celery's line about a process that did not leave by itself, which people's
// alerts look for. Celery: billiard/pool.py, _join_exited_workers; as there, nothing is
// said of one that remote control ended, or a shutdown.
func (l *loop) sayExit(c *child) {
	if c.status.OK() || c.kill.Reason == pool.ReasonTerminate || c.kill.Reason == pool.ReasonCutoff {
		return
	}
	words := strings.TrimSuffix(inCelerysWords(c.status.String()), ", core dumped")
	l.log.Error(fmt.Sprintf("Process 'ForkPoolWorker-%d' pid:%d exited with '%s'", c.slot+1, c.pid, words),
		zap.Int("slot", int(c.slot)), zap.Int("pid", c.pid))
}

// inCelerysWords: billiard calls an exit status so (billiard/common.py, human_status).
func inCelerysWords(death string) string {
	return strings.Replace(death, "exit status ", "exitcode ", 1)
}

// reportLoss asks the steward for what Celery does after this kind of death.
func (l *loop) reportLoss(e *entry, how consumer.How, a ask) {
	loss := consumer.Lost(e.Data.kind.attr, how)
	a.op, a.then = loss.Op, verbOf(loss.Otherwise)
	l.report(e, a)
}

// reportFailure asks the steward to do what Celery's parent does for a lost worker.
func (l *loop) reportFailure(e *entry, message string) {
	l.reportLoss(e, consumer.Died, ask{message: message, died: true})
}

// cutOff settles a task that was still running when the grace period ended.
func (l *loop) cutOff(e *entry) {
	if !e.Early || l.cfg.OnCutoff == "requeue" {
		l.log.Warn("task was cut off by the end of the grace period and goes back to its queue",
			zap.String("task", e.Data.kind.name), zap.String("task_id", e.Delivery.Message.ID))
		l.settle(e, broker.Restore, 0, "")
		return
	}
	l.reportLoss(e, consumer.CutOff, ask{message: "Task was cut off: the worker's grace period ended before it did."})
}

// answered acts on what the steward says that Celery would do.
func (l *loop) answered(a *ask, verb string) {
	e := a.entry
	if e == nil {
		return
	}
	if e.Lost {
		l.drop(e)
		return
	}
	deaths := 0
	if a.died {
		deaths = e.Delivery.Deaths + 1
	}
	switch verb {
	case "requeue":
		if l.cfg.PoisonLimit > 0 && deaths >= l.cfg.PoisonLimit {
			l.park(e, deaths)
			return
		}
		l.settle(e, broker.Requeue, deaths, "")
	case "reject":
		l.settle(e, broker.Reject, deaths, "")
	default:
		l.settle(e, broker.Ack, deaths, "")
	}
}

// park ends a message that keeps killing children: failed with the reason, a
// copy kept in the dead-letter list.
func (l *loop) park(e *entry, deaths int) {
	reason := fmt.Sprintf("Message was parked: %d children died while running it (poison limit %d).", deaths, l.cfg.PoisonLimit)
	m := &e.Delivery.Message
	l.log.Error(reason, zap.String("task", m.Task), zap.String("task_id", m.ID), zap.Int("deaths", deaths))
	l.counts.Parked++
	l.metrics.Parked(e.Data.kind.name)
	l.report(e, ask{op: opFail, message: reason, parked: deaths, then: broker.Park})
}

// turnAway settles a delivery that is not to be run at all.
func (l *loop) turnAway(e *entry, fate consumer.Fate) {
	m := &e.Delivery.Message
	switch f := fate.(type) {
	case consumer.Expired:
		l.counts.Revoked++
		l.logInfoLine("Discarding revoked task: "+events.Name(m)+"["+m.ID+"]", e)
		l.report(e, ask{op: opRevoked, args: map[string]any{"reason": "expired"}, then: broker.Ack})
	case consumer.Revoked:
		l.counts.Revoked++
		l.logInfoLine("Discarding revoked task: "+events.Name(m)+"["+m.ID+"]", e)
		l.report(e, ask{op: opRevoked, args: map[string]any{"reason": "revoked"}, then: broker.Ack})
	case consumer.Unknown:
		l.counts.Rejected++
		l.report(e, ask{op: opUnknown, then: broker.Reject})
	case consumer.Poisoned:
		l.park(e, e.Delivery.Deaths)
	case consumer.Invalid:
		l.counts.Rejected++
		l.report(e, ask{op: opInvalid, message: f.Reason, then: broker.Reject})
	case consumer.Unroutable:
		l.counts.Rejected++
		l.unroutable(e)
	case consumer.Undecodable:
		l.counts.Rejected++
		l.log.Error("Can't decode message body: "+m.Problem, zap.String("queue", e.Delivery.Queue), zap.Int("bytes", len(m.Raw)))
		l.settle(e, broker.Ack, 0, "")
	default:
		l.bug("cannot turn a delivery away", fmt.Errorf("unknown fate %T", fate))
	}
}
