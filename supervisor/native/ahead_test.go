package native

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"crisper/broker"
	"crisper/supervisor/agent"
	"crisper/supervisor/wire"
)

// startWatcher is the broker in memory; it notes what takes may record as begun, and
// how much of what is recorded has not ended.
type startWatcher struct {
	*memoryBroker
	mu    sync.Mutex
	named map[string]int // takes that named this task
	most  int
}

func (s *startWatcher) TakeStarted(ctx context.Context, n, start int, short ...string) ([]broker.Delivery, error) {
	ds, err := s.memoryBroker.TakeStarted(ctx, n, start, short...)
	s.memoryBroker.mu.Lock()
	open := 0
	for tag := range s.held {
		if s.begun[tag] == broker.Accept {
			open++
		}
	}
	s.memoryBroker.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range short {
		s.named[name]++
	}
	s.most = max(s.most, open)
	return ds, err
}

func watchedWorld(t *testing.T, change func(*Config), tasks map[string]agent.Task) (*world, *startWatcher) {
	s := &startWatcher{named: map[string]int{}}
	w := newWorldOn(t, func(b *memoryBroker) broker.Consumer { s.memoryBroker = b; return s }, change, tasks)
	return w, s
}

func TestShortTasksAreRecordedAsBegunByTheTakeAndNoMoreOfThemThanTheSocketsHold(t *testing.T) {
	w, s := watchedWorld(t, nil, map[string]agent.Task{"early": earlyTask})
	w.publish("early", 3000)
	w.broker.until(t, "3000 acks", func() bool { return w.broker.verdicts(broker.Ack) == 3000 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.named["early"] == 0 {
		t.Error("no take named the short task")
	}
	// Two sockets of 16, the task that each child runs, and acks on their way.
	if limit := 2*(16+1) + settleBatch; s.most > limit {
		t.Errorf("%d were recorded as begun and had not ended, want at most %d", s.most, limit)
	}
	w.zygote.mu.Lock()
	defer w.zygote.mu.Unlock()
	for id, n := range w.zygote.ran {
		if n != 1 {
			t.Errorf("%s ran %d times", id, n)
		}
	}
}

func TestATaskThatTakesLongIsNeverRecordedAsBegunAhead(t *testing.T) {
	w, s := watchedWorld(t, nil, map[string]agent.Task{"early": earlyTask, "slow": earlyTask})
	w.tasks(func(_ *fakeProc, task string) wire.Outcome {
		if task == "slow" {
			time.Sleep(2 * shortTask) // what is measured is how long it takes
		}
		return wire.Success
	})
	for range 10 {
		w.publish("early", 100)
		w.publish("slow", 2)
	}
	w.broker.until(t, "1020 acks", func() bool { return w.broker.verdicts(broker.Ack) == 1020 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.named["slow"] != 0 {
		t.Errorf("%d takes named the slow task", s.named["slow"])
	}
}

func TestNothingIsRecordedAheadWhereThatIsNotAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		tasks  map[string]agent.Task
	}{
		"a task of the app is acknowledged late": {nil, map[string]agent.Task{"early": earlyTask, "late": lateTask}},
		"one by one (--depth=1)":                 {func(c *Config) { c.Depth = 1 }, map[string]agent.Task{"early": earlyTask}},
		"prefetching is off":                     {func(c *Config) { c.DisablePrefetch = true }, map[string]agent.Task{"early": earlyTask}},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := watchedWorld(t, c.change, c.tasks)
			w.publish("early", 200)
			w.broker.until(t, "200 acks", func() bool { return w.broker.verdicts(broker.Ack) == 200 })
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.named["early"] != 0 {
				t.Errorf("%d takes named the task", s.named["early"])
			}
		})
	}
}

func TestTheListOfShortTasksFollowsThemAndIsNeverChangedInPlace(t *testing.T) {
	l := &loop{}
	a, b := &taskKind{name: "a"}, &taskKind{name: "b"}
	quoted := &taskKind{name: `q"`}
	for range enoughSeen {
		for _, k := range []*taskKind{a, b, quoted} {
			k.observe(time.Millisecond)
			l.relist(k)
		}
	}
	before := l.listed
	if !slices.Equal(before, []string{"a", "b"}) {
		t.Fatalf("listed: %q", before)
	}
	a.observe(time.Second)
	l.relist(a)
	if !slices.Equal(l.listed, []string{"b"}) || !slices.Equal(before, []string{"a", "b"}) {
		t.Fatalf("listed: %q, before: %q", l.listed, before)
	}
}
