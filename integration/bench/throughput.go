package main

import (
	"context"
	"fmt"
	"time"

	"crisper/integration/bench/load"
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
		first, before, err := b.counter.until(ctx, n)
		if err != nil {
			return nil, err
		}
		if err := b.redis.UntilEmpty(ctx, queue); err != nil {
			return nil, err
		}
		took := time.Since(first)
		if ran := b.counter.sum(); ran != n {
			return nil, fmt.Errorf("%d tasks were sent and %d ran", n, ran)
		}
		return []float64{float64(n-before) / took.Seconds()}, nil
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
