package main

import (
	"context"
	"fmt"
	"time"

	"crisper/integration/bench/load"
	"crisper/integration/bench/proctree"
)

// throughput measures tasks per second: the queue is filled first, and the clock
// runs from the first task to the moment when all have run and the broker owes
// nothing any more.
func throughput(task, args string, share float64, taskArgs ...any) func(context.Context, *bench, side) ([]float64, error) {
	return func(ctx context.Context, b *bench, s side) ([]float64, error) {
		n := max(int(float64(b.size.Tasks*s.factor)*share), 20)
		if err := b.clean(ctx); err != nil {
			return nil, err
		}
		if err := b.fill(ctx, s, task, n, taskArgs); err != nil {
			return nil, err
		}
		w, err := s.start(b, b.app(b.bed.Path("notes")), words(args)...)
		if err != nil {
			return nil, err
		}
		defer stop(w)
		before, err := b.counter.begun(ctx)
		if err != nil {
			return nil, err
		}
		cpu, first := b.spent(w), time.Now()
		if err := b.counter.until(ctx, n); err != nil {
			return nil, err
		}
		if err := b.redis.UntilEmpty(ctx, queue); err != nil {
			return nil, err
		}
		took := time.Since(first)
		if ran := b.counter.sum(); ran != n {
			return nil, fmt.Errorf("%d tasks were sent and %d ran", n, ran)
		}
		counted := float64(n - before)
		return append([]float64{counted / took.Seconds()}, b.spent(w).since(cpu).per(counted)...), nil
	}
}

// usage is the CPU time of the worker's first process, of all others of the worker,
// and of redis-server. Unlike a rate it hardly changes when the machine has other
// things to do.
type usage [3]time.Duration

func (b *bench) spent(w *worker) usage {
	first := proctree.CPUOf(w.PID())
	return usage{first, proctree.CPU(w.PID()) - first, proctree.CPUOf(b.redis.PID())}
}

func (u usage) since(before usage) usage {
	for i := range u {
		u[i] -= before[i]
	}
	return u
}

// per is microseconds for each task: the sum, and its parts.
func (u usage) per(tasks float64) []float64 {
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / tasks }
	return []float64{us(u[0] + u[1] + u[2]), us(u[0]), us(u[1]), us(u[2])}
}

// perTask are the figures of usage.per.
func perTask(goal float64) []figure {
	return []figure{
		{"… CPU per task", "µs", false, goal, 0},
		{"… of it the first process", "µs", false, 0, 0},
		{"… its children", "µs", false, 0, 0},
		{"… redis-server", "µs", false, 0, 0},
	}
}

func (b *bench) fill(ctx context.Context, s side, task string, n int, args []any) error {
	if s.fill != nil {
		return s.fill(ctx, b, n)
	}
	return b.publish(ctx, task, load.Messages(n, args...))
}

// withResults checks that every result is in the backend.
func withResults(ctx context.Context, b *bench, s side) ([]float64, error) {
	values, err := throughput("add", "-c 2", 0.7, 2, 3)(ctx, b, s)
	if err != nil {
		return nil, err
	}
	want := max(int(float64(b.size.Tasks*s.factor)*0.7), 20)
	got, err := countKeys(ctx, b)
	if err != nil {
		return nil, err
	}
	if got != want {
		return nil, fmt.Errorf("%d tasks ran and the backend holds %d results", want, got)
	}
	return values, nil
}

func countKeys(ctx context.Context, b *bench) (int, error) {
	conn := b.redis.Client.Conn()
	defer conn.Close()
	if err := conn.Select(ctx, 1).Err(); err != nil {
		return 0, fmt.Errorf("cannot look into the backend: %w", err)
	}
	defer conn.Select(ctx, 0)
	n, err := conn.DBSize(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("cannot count the results: %w", err)
	}
	return int(n), nil
}
