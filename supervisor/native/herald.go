package native

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/agent"
	"crisper/supervisor/wire"
)

// herald is a delivery that is to run and waits until the handlers of task_received
// have been told, as in Celery, where they run before the pool gets the task
// (worker/strategy.py): what they write of a task is never later than what the task
// itself writes. Like what waits for a rate, it is nowhere in the ledger.
//
// An app without such handlers pays nothing for it. Where there are some, deliveries go
// to the steward in batches: those that came while it was busy make the next one. The
// signal is not worth a task: if the steward dies over it, or there is none, tasks go on.
type herald struct {
	entry *entry
	until time.Time // its ETA; zero: none
}

const signalReceived = "task_received"

// heraldBytes and heraldsAtOnce bound a batch. Only one large message makes a larger one.
const (
	heraldBytes   = wire.MaxInline / 2
	heraldsAtOnce = takeBatch
)

// admit lets in what is to run, or to wait for its ETA.
func (l *loop) admit(e *entry, until time.Time) {
	if l.heralding && (l.steward != nil || len(l.under)+len(l.heralds) > 0) { // nobody overtakes those that wait
		l.heralds = append(l.heralds, herald{e, until})
		return
	}
	l.enter(e, until)
}

// enter puts what was admitted where it belongs.
func (l *loop) enter(e *entry, until time.Time) {
	l.tellReceived(e)
	if until.IsZero() {
		l.reserve(e)
		return
	}
	if err := l.book.Schedule(e, until); err != nil {
		l.bug("cannot schedule a delivery", err)
	}
}

// herald has the handlers told of what has come, one batch at a time.
func (l *loop) herald() {
	if l.heralded != nil {
		if l.steward != nil {
			return
		}
		if at := slices.Index(l.asks, l.heralded); at >= 0 {
			l.asks = slices.Delete(l.asks, at, at+1)
		}
		l.heralded.answer(agent.Answer{Error: "there is no steward"})
	}
	if l.steward == nil {
		l.enterAll(l.heralds)
		l.heralds = nil
	}
	if len(l.heralds) > 0 {
		l.heralded = l.nextHeralds()
		l.put(l.heralded)
	}
}

// nextHeralds is the question for the oldest deliveries. They are let in when it is
// answered, whatever the answer is.
func (l *loop) nextHeralds() *ask {
	n, sizes, tasks := 0, []int(nil), []byte(nil)
	for n < min(len(l.heralds), heraldsAtOnce) && (n == 0 || len(tasks) < heraldBytes) {
		before := len(tasks)
		tasks = wire.AppendTaskPayload(tasks, &l.heralds[n].entry.Delivery.Message, l.info.Hostname)
		if n > 0 && len(tasks) > heraldBytes {
			tasks = tasks[:before]
			break
		}
		sizes = append(sizes, len(tasks)-before)
		n++
	}
	l.under, l.heralds = l.heralds[:n:n], l.heralds[n:]
	return &ask{op: agent.OpReceived, args: map[string]any{"sizes": sizes}, tasks: tasks, answer: l.onHeralded}
}

func (l *loop) onHeralded(a agent.Answer) {
	if a.Error != "" && len(l.under) > 0 {
		l.log.Error("the handlers of task_received were not told of some tasks", zap.Int("tasks", len(l.under)), zap.String("error", a.Error))
	}
	all := l.under
	l.heralded, l.under = nil, nil
	l.enterAll(all)
}

func (l *loop) enterAll(all []herald) {
	for _, h := range all {
		if !h.entry.Lost { // else the ledger has closed it
			l.enter(h.entry, h.until)
		}
	}
}

// takeHeralds returns what waits for the handlers, for a drain.
func (l *loop) takeHeralds() (all []*entry) {
	for _, h := range slices.Concat(l.under, l.heralds) {
		if !h.entry.Lost {
			all = append(all, h.entry)
		}
	}
	l.under, l.heralds = nil, nil
	return all
}

// unroutable ends a message that names no task, as Celery does (on_unknown_message):
// it is rejected, and the handlers of task_rejected are told.
func (l *loop) unroutable(e *entry) {
	m := &e.Delivery.Message
	l.log.Warn("Received and deleted unknown message. Wrong destination?!?", zap.String("problem", m.Problem), zap.String("queue", e.Delivery.Queue))
	const name = "task_rejected"
	if l.info.Receivers[name] == 0 {
		l.settle(e, broker.Reject, 0, "")
		return
	}
	l.report(e, ask{op: opSignal, args: map[string]any{"name": name}, then: broker.Reject})
}
