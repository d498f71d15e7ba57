package pool

import (
	"testing"
	"time"
)

// settled returns a pool of ready children.
func settled(tb testing.TB, cfg Config) *Pool {
	tb.Helper()
	p, err := New(cfg, func() float64 { return 0 })
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Unix(0, 0)
	p.Step(now, Opened{}, nil)
	for _, a := range p.Step(now, GenerationReady{1}, nil) {
		if s, ok := a.(StartChild); ok {
			p.Step(now, ChildForked{s.Child, 100 + int(s.Child)}, nil)
			p.Step(now.Add(time.Millisecond), ChildReady{s.Child}, nil)
		}
	}
	return p
}

func BenchmarkATaskBeginsAndEnds(b *testing.B) {
	for _, bm := range []struct {
		name       string
		soft, hard time.Duration
		maxTasks   int
	}{{name: "plain"}, {name: "limits", soft: time.Minute, hard: time.Hour}, {name: "max_tasks", maxTasks: 1 << 40}} {
		b.Run(bm.name, func(b *testing.B) {
			cfg := Defaults(8)
			cfg.MaxTasks = bm.maxTasks
			p := settled(b, cfg)
			acts := make([]Action, 0, 16)
			now := time.Unix(1, 0)
			b.ReportAllocs()
			task := TaskID(0)
			for b.Loop() {
				task++
				child := ChildID(1 + task%8)
				acts = p.Step(now, TaskBegan{child, task, bm.soft, bm.hard}, acts[:0])
				now = now.Add(70 * time.Microsecond)
				acts = p.Step(now, TaskEnded{child, task}, acts)
			}
			if len(acts) > 0 {
				b.Fatalf("actions %v", acts)
			}
			if n, last := p.Impossible(); n > 0 {
				b.Fatal(last)
			}
		})
	}
}

func TestBeginningAndEndingATaskAllocatesNothing(t *testing.T) {
	p := settled(t, Defaults(2))
	acts := make([]Action, 0, 4)
	now, task := time.Unix(1, 0), TaskID(0)
	if n := testing.AllocsPerRun(1000, func() {
		task++
		acts = p.Step(now, TaskBegan{1, task, time.Second, time.Minute}, acts[:0])
		acts = p.Step(now, TaskEnded{1, task}, acts)
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func TestTheWakeOfATaskThatEndedIsForgottenByTheNextTick(t *testing.T) {
	p := settled(t, Defaults(1))
	now := time.Unix(1, 0)
	p.Step(now, TaskBegan{1, 1, time.Second, 0}, nil)
	p.Step(now, TaskEnded{1, 1}, nil)
	wake := p.NextWake()
	if !wake.Equal(now.Add(time.Second)) {
		t.Fatalf("the wake is %s", wake)
	}
	if acts := p.Tick(wake, nil); len(acts) > 0 || !p.NextWake().IsZero() {
		t.Errorf("after the tick: %v, wake %s", acts, p.NextWake())
	}
}
