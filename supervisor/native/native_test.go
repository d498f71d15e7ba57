package native

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"crisper/broker"
	"crisper/supervisor/agent"
	"crisper/supervisor/reaper"
	"crisper/supervisor/wire"
)

var (
	earlyTask = agent.Task{AcksOnFailure: true, AcksOnTimeout: true}
	lateTask  = agent.Task{AcksLate: true, AcksOnFailure: true, AcksOnTimeout: true}
)

func catalogue() map[string]agent.Task {
	again := lateTask
	again.RejectOnWorkerLost = true
	return map[string]agent.Task{"early": earlyTask, "late": lateTask, "again": again}
}

func TestTasksRunOnceAndAreAcknowledged(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	w.publish("early", 500)
	w.publish("late", 500)
	w.broker.until(t, "1000 acks", func() bool { return w.broker.verdicts(broker.Ack) == 1000 })
	w.zygote.mu.Lock()
	defer w.zygote.mu.Unlock()
	for id, n := range w.zygote.ran {
		if n != 1 {
			t.Errorf("%s ran %d times", id, n)
		}
	}
}

func TestAnEarlyTaskIsAcceptedByTheBrokerBeforeItRuns(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	accepted := make(chan bool, 1)
	w.tasks(func(*fakeProc, string) wire.Outcome {
		w.broker.mu.Lock()
		defer w.broker.mu.Unlock()
		accepted <- w.broker.begun["task-1"] == broker.Accept
		return wire.Success
	})
	w.publish("early", 1)
	if !<-accepted {
		t.Fatal("the task ran before the broker knew")
	}
	w.broker.until(t, "the ack", func() bool { return w.broker.verdicts(broker.Ack) == 1 })
}

func TestADeadChildCostsExactlyItsTask(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	first := true
	w.tasks(func(p *fakeProc, task string) wire.Outcome {
		if task == "again" && first {
			first = false
			p.die(reaper.Status{PID: p.pid, Signal: syscall.SIGKILL})
		}
		return wire.Success
	})
	w.publish("late", 20)
	w.publish("again", 1)
	w.publish("late", 20)
	w.broker.until(t, "41 acks", func() bool { return w.broker.verdicts(broker.Ack) == 41 })
	w.zygote.mu.Lock()
	defer w.zygote.mu.Unlock()
	for id, n := range w.zygote.ran {
		if want := map[bool]int{true: 2, false: 1}[id == "task-21"]; n != want {
			t.Errorf("%s ran %d times, want %d", id, n, want)
		}
	}
}

func TestAMessageThatKeepsKillingIsParked(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	w.tasks(func(p *fakeProc, task string) wire.Outcome {
		if task == "again" {
			p.die(reaper.Status{PID: p.pid, Signal: syscall.SIGSEGV})
		}
		return wire.Success
	})
	w.publish("again", 1)
	w.broker.until(t, "the message parked", func() bool { return w.broker.verdicts(broker.Park) == 1 })
	w.zygote.mu.Lock()
	defer w.zygote.mu.Unlock()
	if w.zygote.ran["task-1"] != 3 {
		t.Errorf("it ran %d times, want 3", w.zygote.ran["task-1"])
	}
}

func TestTermGivesBackWhatHasNotBegunAndWaitsForTheRest(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	release := make(chan struct{})
	begun := make(chan struct{}, 10)
	w.tasks(func(*fakeProc, string) wire.Outcome {
		begun <- struct{}{}
		<-release
		return wire.Success
	})
	w.publish("late", 8)
	<-begun
	<-begun
	w.broker.until(t, "8 taken", func() bool { return len(w.broker.held) == 8 })
	w.signals <- syscall.SIGTERM
	w.broker.until(t, "6 restored", func() bool { return w.broker.verdicts(broker.Restore) == 6 })
	w.broker.mu.Lock()
	for i, d := range w.broker.queue {
		if want := broker.Tag([]string{"task-3", "task-4", "task-5", "task-6", "task-7", "task-8"}[len(w.broker.queue)-1-i]); d.Tag != want {
			t.Errorf("restored %d is %s, want %s (the batch is pushed newest first by the broker)", i, d.Tag, want)
		}
	}
	w.broker.mu.Unlock()
	close(release)
	if exit := w.leave(); exit != 0 {
		t.Errorf("exit code %d", exit)
	}
	if n := w.broker.verdicts(broker.Ack); n != 2 {
		t.Errorf("%d acks, want 2", n)
	}
}

func TestTheFirstTermAfterARequestToDrainHurriesNobody(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Pool.Slots = 1 }, catalogue())
	release := make(chan struct{})
	end := sync.OnceFunc(func() { close(release) })
	defer end()
	begun := make(chan struct{}, 10)
	w.tasks(func(*fakeProc, string) wire.Outcome {
		begun <- struct{}{}
		<-release
		return wire.Success
	})
	w.publish("late", 1)
	<-begun
	w.runtime.Drain() // a preStop hook, and then what the kubelet sends
	w.signals <- syscall.SIGTERM
	heard, hurried := make(chan bool), false
	for until := time.Now().Add(10 * time.Second); ; {
		w.runtime.loop.post(asked{func(l *loop) { hurried = l.hurried; heard <- l.signalled }})
		if <-heard {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the TERM was not heard")
		}
	}
	if hurried {
		t.Error("the first TERM hurries")
	}
	end()
	if exit := w.leave(); exit != 0 || w.broker.verdicts(broker.Ack) != 1 {
		t.Errorf("exit code %d, %d acks", exit, w.broker.verdicts(broker.Ack))
	}
}

func TestTheEndOfTheGraceCutsOffByPolicy(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Grace, c.GraceMargin = 1500*time.Millisecond, time.Second
		c.Pool.KillGrace = 100 * time.Millisecond
	}, catalogue())
	begun := make(chan struct{}, 2)
	w.tasks(func(p *fakeProc, _ string) wire.Outcome {
		begun <- struct{}{}
		<-p.kill
		return wire.Success
	})
	w.publish("early", 1)
	w.publish("late", 1)
	<-begun
	<-begun
	w.signals <- syscall.SIGTERM
	w.leave()
	if v := w.broker.verdict["task-1"]; v != broker.Ack {
		t.Errorf("the early task: verdict %d, want an ack after it was recorded as failed", v)
	}
	if v := w.broker.verdict["task-2"]; v != broker.Restore {
		t.Errorf("the late task: verdict %d, want restore", v)
	}
	w.zygote.mu.Lock()
	defer w.zygote.mu.Unlock()
	if len(w.zygote.asked) == 0 || w.zygote.asked[0] != agent.OpFail {
		t.Errorf("the steward was asked %v, want fail", w.zygote.asked)
	}
}

func TestSettlementsWaitForTheBrokerAndAreSentAgain(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	release := make(chan struct{})
	begun := make(chan struct{}, 1)
	w.tasks(func(*fakeProc, string) wire.Outcome {
		begun <- struct{}{}
		<-release
		return wire.Success
	})
	w.publish("late", 1)
	<-begun
	w.broker.until(t, "begun", func() bool { return w.broker.begun["task-1"] == broker.Begin })
	w.broker.mu.Lock()
	w.broker.down = true
	w.broker.mu.Unlock()
	close(release)
	w.broker.events <- broker.Disconnected{Err: broker.ErrUnavailable, Server: "memory://"}
	w.broker.mu.Lock()
	w.broker.down = false
	w.broker.mu.Unlock()
	w.broker.events <- broker.Connected{Server: "memory://"}
	w.broker.until(t, "the ack", func() bool { return w.broker.verdicts(broker.Ack) == 1 })
}

func TestAGarbageFrameEndsOneChildOnly(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	w.tasks(func(p *fakeProc, task string) wire.Outcome {
		if task == "again" {
			p.write([]byte("\xff\xff\xff\xff garbage"))
			<-p.kill
		}
		return wire.Success
	})
	w.publish("again", 1)
	w.publish("late", 50)
	w.broker.until(t, "50 acks", func() bool { return w.broker.verdicts(broker.Ack) == 50 })
	w.broker.until(t, "the message parked", func() bool { return w.broker.verdicts(broker.Park) == 1 })
}
