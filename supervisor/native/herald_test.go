package native

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"crisper/broker"
	"crisper/broker/celerymsg"
	"crisper/supervisor/agent"
	"crisper/supervisor/wire"
)

// listens gives the app handlers of a signal.
func (w *world) listens(name string) {
	w.runtime.loop.post(asked{func(l *loop) {
		info := l.info
		info.Receivers = map[string]int{name: 1}
		l.setInfo(info)
	}})
}

func (w *world) asked(op string) (n int) {
	w.zygote.mu.Lock()
	defer w.zygote.mu.Unlock()
	for _, each := range w.zygote.asked {
		if each == op {
			n++
		}
	}
	return n
}

func TestHandlersOfTaskReceivedAreToldBeforeTheTaskRunsAndInBatches(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.PrefetchMultiplier = 100 }, catalogue())
	w.listens(signalReceived)
	var early atomic.Bool
	w.tasks(func(*fakeProc, string) wire.Outcome {
		if w.asked(agent.OpReceived) == 0 {
			early.Store(true)
		}
		return wire.Success
	})
	w.publish("early", 50)
	w.publish("late", 50)
	w.broker.until(t, "100 acks", func() bool { return w.broker.verdicts(broker.Ack) == 100 })
	if early.Load() {
		t.Error("a task ran before its handlers were told")
	}
	if n := w.asked(agent.OpReceived); n > 50 {
		t.Errorf("%d questions for 100 tasks", n)
	}
}

func TestWithoutHandlersNobodyIsAskedAboutAReceivedTask(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	w.publish("late", 20)
	w.broker.until(t, "20 acks", func() bool { return w.broker.verdicts(broker.Ack) == 20 })
	if n := w.asked(agent.OpReceived); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

func TestTasksGoOnWhenTheStewardDiesOfTheirHandlers(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	w.listens(signalReceived)
	w.zygote.mu.Lock()
	w.zygote.dies = agent.OpReceived
	w.zygote.mu.Unlock()
	w.publish("late", 20)
	w.broker.until(t, "20 acks", func() bool { return w.broker.verdicts(broker.Ack) == 20 })
}

func TestABatchIsBoundedInBytesAndHoldsOneTaskAtLeast(t *testing.T) {
	l := &loop{}
	for _, size := range []int{heraldBytes * 3, 10, 10, heraldBytes, 10} {
		m := celerymsg.Message{ContentType: "application/json", ContentEncoding: "utf-8", Body: make([]byte, size)}
		l.heralds = append(l.heralds, herald{entry: &entry{Delivery: broker.Delivery{Message: m}}})
	}
	var got []int
	for len(l.heralds) > 0 {
		a := l.nextHeralds()
		sizes := a.args["sizes"].([]int)
		got = append(got, len(sizes))
		total := 0
		for _, size := range sizes {
			total += size
		}
		if total != len(a.tasks) || len(l.under) != len(sizes) {
			t.Errorf("%d bytes, sizes %v, %d under way", len(a.tasks), sizes, len(l.under))
		}
	}
	if want := []int{1, 2, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("batches of %v, want %v", got, want)
	}
}

func TestWhatWaitsForHandlersGoesBackInADrain(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	w.listens(signalReceived)
	slow := make(chan struct{})
	w.zygote.mu.Lock()
	w.zygote.slow = slow
	w.zygote.mu.Unlock()
	w.publish("late", 5)
	for waiting := 0; waiting < 5; {
		count := make(chan int)
		w.runtime.loop.post(asked{func(l *loop) { count <- len(l.under) + len(l.heralds) }})
		waiting = <-count
	}
	w.signals <- syscall.SIGTERM
	w.broker.until(t, "five are back", func() bool { return len(w.broker.queue) == 5 && len(w.broker.held) == 0 })
	close(slow)
	if exit := w.leave(); exit != 0 {
		t.Errorf("exit %d", exit)
	}
}

func TestHandlersOfTaskRejectedAreToldOfAMessageThatNamesNoTask(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	w.listens("task_rejected")
	w.broker.mu.Lock()
	w.broker.queue = append(w.broker.queue, broker.Delivery{Tag: "odd", Queue: "celery", Message: celerymsg.Message{Kind: celerymsg.Unknown}})
	w.broker.mu.Unlock()
	w.publish("late", 1)
	w.broker.until(t, "it is rejected", func() bool { return w.broker.verdict["odd"] == broker.Reject })
	if n := w.asked(agent.OpSignal); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestRejectedIsToldOfLateTasksThatAreNotAcknowledged(t *testing.T) {
	for task, want := range map[string]map[wire.Outcome]string{
		"any":    {wire.Failure: "task-failed", wire.RejectedAgain: ""},
		"late":   {wire.Failure: "task-failed", wire.RejectedAgain: "task-rejected"},
		"noack":  {wire.Failure: "task-rejected task-failed", wire.RejectedAgain: "task-rejected"},
		"silent": {wire.Failure: "", wire.RejectedAgain: ""},
	} {
		for outcome, ends := range want {
			t.Run(fmt.Sprint(task, " ", outcomeName(outcome)), func(t *testing.T) {
				w, b := controlled(t, func(c *Config, _ *fanoutBroker) { c.Remote.Events, c.Remote.Heartbeat = true, time.Hour })
				var again atomic.Bool
				w.tasks(func(*fakeProc, string) wire.Outcome {
					if again.Swap(true) {
						return wire.Success
					}
					return outcome
				})
				w.publish(task, 1)
				w.broker.until(t, "it is over", func() bool { return len(w.broker.verdict) == 1 && len(w.broker.held)+len(w.broker.queue) == 0 })
				w.signals <- syscall.SIGTERM
				w.leave()
				if got := endings(b.kinds()); !strings.HasPrefix(got, ends) || ends == "" && strings.Contains(got, "rejected") {
					t.Errorf("told %q, want %q", got, ends)
				}
			})
		}
	}
}

// endings are the events of ends, those that went wrong.
func endings(kinds []string) string {
	kinds = slices.DeleteFunc(kinds, func(kind string) bool { return kind != "task-failed" && kind != "task-rejected" })
	return strings.Join(kinds, " ")
}

func TestAnUnknownTaskIsNotCalledReceived(t *testing.T) {
	w, b := controlled(t, func(c *Config, _ *fanoutBroker) { c.Remote.Events, c.Remote.Heartbeat = true, time.Hour })
	w.publish("nobody's", 1)
	w.broker.until(t, "it is rejected", func() bool { return w.broker.verdicts(broker.Reject) == 1 })
	w.signals <- syscall.SIGTERM
	w.leave()
	if kinds := b.kinds(); slices.Contains(kinds, "task-received") || !unknownKind.events {
		t.Error(kinds)
	}
}
