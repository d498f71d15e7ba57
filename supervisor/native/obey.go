package native

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/agent"
	"crisper/supervisor/control"
	"crisper/supervisor/ledger"
	"crisper/supervisor/pool"
	"crisper/supervisor/process"
)

// obey carries out one action of remote control. true: it sends the reply itself.
func (l *loop) obey(action control.Action, mail control.Mail, answer control.Answer) (replies bool) {
	switch a := action.(type) {
	case control.Revoke:
		l.revoke(a)
	case control.RevokeStamps:
		l.consumer.RevokeStamps(a.Stamp, a.Values...)
	case control.Terminate:
		l.terminate(a)
	case control.SetRate:
		l.obeyRate(a)
	case control.SetLimits:
		l.obeyLimits(a)
	case control.EnableEvents:
		l.remote.sender.Enable()
		l.wantResults()
		l.log.Info("Events of group {task} enabled by remote.")
	case control.DisableEvents:
		l.remote.sender.Disable()
		l.wantResults()
		l.log.Info("Events of group {task} disabled by remote.")
	case control.Pulse:
		l.remote.sender.Pulse(l.now)
	case control.Resize:
		l.obeySize(a.Slots)
	case control.RestartPool:
		l.reload()
	case control.Rescale:
		l.scale.max, l.scale.min = a.Max, a.Min
		l.obeySize(min(max(l.slots, a.Min), a.Max))
	case control.Shutdown:
		l.log.Warn("Got shutdown from remote")
		l.drain("remote control")
	case control.AddQueue:
		l.addQueue(a, mail, answer)
		return true
	case control.CancelQueue:
		l.cancelQueue(a, mail, answer)
		return true
	}
	return false
}

// revoke remembers ids, and takes back what waits in children's sockets so that it
// is looked at again.
func (l *loop) revoke(a control.Revoke) {
	for _, id := range a.IDs {
		l.consumer.Revoked().Add(l.now, id)
	}
	for _, c := range l.inOrder {
		for _, e := range l.book.Sent(ledger.Child(c.id)) {
			if e.Place == ledger.Queued && slices.Contains(a.IDs, e.Delivery.Message.ID) {
				l.takeBack(c)
				break
			}
		}
	}
	if !a.Quiet {
		l.log.Info("Tasks flagged as revoked: " + strings.Join(a.IDs, ", "))
	}
}

func (l *loop) obeyRate(a control.SetRate) {
	l.remote.rates[a.Task] = a.Rate
	l.setRate(l.kindOf(a.Task), a.PerSecond)
	if a.Rate == "" {
		l.log.Info("Rate limits disabled for tasks of type " + a.Task)
		return
	}
	l.log.Info(fmt.Sprintf("New rate limit for tasks of type %s: %s.", a.Task, a.Rate))
}

// obeyLimits: tasks that have been received keep the limits that they came under.
func (l *loop) obeyLimits(a control.SetLimits) {
	soft, hard := seconds(a.Soft), seconds(a.Hard)
	l.consumer.SetLimits(a.Task, soft, hard)
	k := l.kindOf(a.Task)
	k.attr.Soft, k.attr.Hard = soft, hard
	l.log.Info(fmt.Sprintf("New time limits for tasks of type %s: soft=%g hard=%g", a.Task, a.Soft, a.Hard))
}

func (l *loop) obeySize(slots int) {
	if slots == l.slots || l.draining {
		return
	}
	l.slots = slots
	l.log.Info("the pool is resized by remote control", zap.Int("slots", slots))
	l.step(pool.Resized{Slots: slots})
}

// addQueue has Celery's code define the queue, and begins to consume it.
func (l *loop) addQueue(a control.AddQueue, mail control.Mail, answer control.Answer) {
	fail := func(err string) {
		l.log.Error("cannot add a queue", zap.String("queue", a.Queue), zap.String("error", err))
		l.replyTo(mail, control.Answer{Reply: map[string]string{"error": err}})
	}
	selector, ok := l.broker.(broker.Selector)
	if !ok {
		fail("the queues of this broker's client cannot be changed")
		return
	}
	l.put(&ask{op: agent.OpAddQueue, args: map[string]any{"arguments": a.Arguments}, answer: func(answered agent.Answer) {
		var made agent.NewQueue
		if answered.Error == "" {
			if err := json.Unmarshal(answered.Reply, &made); err != nil {
				answered.Error = err.Error()
			}
		}
		if answered.Error != "" {
			fail(answered.Error)
			return
		}
		l.change(func(ctx context.Context) error { return selector.Consume(ctx, made.Queue) }, func(err error) {
			if err != nil {
				fail(err.Error())
				return
			}
			l.remote.addQueue(made)
			l.exhausted = false
			l.log.Info("Started consuming from " + made.Queue.Name)
			l.replyTo(mail, answer)
		})
	}})
}

func (l *loop) cancelQueue(a control.CancelQueue, mail control.Mail, answer control.Answer) {
	selector, ok := l.broker.(broker.Selector)
	if !ok {
		l.replyTo(mail, control.Answer{Reply: map[string]string{"error": "the queues of this broker's client cannot be changed"}})
		return
	}
	l.log.Info("Canceling queue " + a.Queue)
	l.change(func(ctx context.Context) error { return selector.Cancel(ctx, a.Queue) }, func(err error) {
		if err != nil {
			l.replyTo(mail, control.Answer{Reply: map[string]string{"error": err.Error()}})
			return
		}
		l.remote.cancelQueue(a.Queue)
		l.replyTo(mail, answer)
	})
}

// change asks the broker outside of the loop, and goes on in it.
func (l *loop) change(do func(context.Context) error, then func(error)) {
	l.goes(func() {
		call, cancel := context.WithTimeout(l.ctx, brokerTimeout)
		err := do(call)
		cancel()
		l.post(asked{func(*loop) { then(err) }})
	})
}

// haltTime is how long a child may take to stop when it is asked to.
const haltTime = 500 * time.Millisecond

// terminate ends the child that runs a task, and no other: the child is stopped,
// then its page is asked which task it runs, and only then does it get the signal.
// What is stopped cannot go on to its next task.
func (l *loop) terminate(a control.Terminate) {
	l.log.Info(fmt.Sprintf("Terminating %s (%d)", a.ID, sysSignalByName(a.Signal)))
	if a.Handle == 0 {
		return
	}
	e := l.book.Get(ledger.Seq(a.Handle))
	if e == nil || e.Place != ledger.Active {
		return
	}
	c := l.children[pool.ChildID(e.Child)]
	if c == nil || c.pid == 0 {
		return
	}
	pid := c.pid
	l.goes(func() {
		err := l.deps.Halt(pid, haltTime)
		l.post(asked{func(l *loop) { l.halted(c.id, e.Seq, a.Signal, err) }})
	})
}

// halt stops a process by SIGSTOP.
func (l *loop) halt(pid int, patience time.Duration) error {
	if err := l.deps.Reaper.Signal(pid, sigstop); err != nil {
		return err
	}
	return process.Halted(pid, patience)
}

// halted: the child stands still, if err is nil.
func (l *loop) halted(id pool.ChildID, seq ledger.Seq, signal string, err error) {
	c := l.children[id]
	if c == nil {
		return // it has died by itself
	}
	defer l.signal(c, sigcont)
	if err != nil {
		l.log.Error("cannot terminate a task: its child does not stop", zap.Int("pid", c.pid), zap.Error(err))
		return
	}
	e := l.book.Get(seq)
	if e == nil || e.Place != ledger.Active || pool.ChildID(e.Child) != id || c.page.Current() != uint64(seq) {
		l.log.Info("the task ended before it could be terminated", zap.Int("pid", c.pid))
		return
	}
	if signal == "SIGUSR1" {
		c.page.SetTarget(uint64(seq)) // raises SoftTimeLimitExceeded
	}
	l.step(pool.TerminateRequested{Child: id, Task: pool.TaskID(seq), Signal: signal})
}
