package main

import (
	"context"
	"fmt"
	"time"

	"crisper/integration/bench/proctree"
)

// idle measures what a worker with nothing to do costs: CPU in milliseconds per
// second, and commands per second at the broker.
func idle(ctx context.Context, b *bench, s side) ([]float64, error) {
	w, err := b.fresh(ctx, s, b.bed.Path("notes"), 2)
	if err != nil {
		return nil, err
	}
	defer stop(w)
	time.Sleep(2 * time.Second) // what it still does after its tasks is not idleness
	commands, err := b.redis.Commands(ctx)
	if err != nil {
		return nil, err
	}
	cpu, start := proctree.CPU(w.PID()), time.Now()
	time.Sleep(b.size.Idle) // the thing measured
	used, took := proctree.CPU(w.PID())-cpu, time.Since(start).Seconds()
	after, err := b.redis.Commands(ctx)
	if err != nil {
		return nil, err
	}
	sent := float64(after - commands - 1) // one of them was our question
	return []float64{float64(used.Microseconds()) / 1e3 / took, sent / took}, nil
}

// probe measures what Kubernetes would ask every few seconds: milliseconds for
// /livez, and for `celery inspect ping`.
func probe(ctx context.Context, b *bench, s side) ([]float64, error) {
	w, err := b.fresh(ctx, s, b.bed.Path("notes"), 2)
	if err != nil {
		return nil, err
	}
	defer stop(w)
	ask, times := b.ping, min(b.size.Recyclings, 5)
	if w.HTTP != "" {
		ask, times = b.livez, 200
	}
	var ms []float64
	for range times {
		start := time.Now()
		if err := ask(ctx, w); err != nil {
			return nil, err
		}
		ms = append(ms, float64(time.Since(start).Microseconds())/1e3)
	}
	return []float64{percentile(ms, 50)}, nil
}

func (b *bench) livez(ctx context.Context, w *worker) error {
	code, body, err := w.Get(ctx, "/livez")
	if err == nil && code != 200 {
		err = fmt.Errorf("/livez answers %d: %s", code, body)
	}
	return err
}

func (b *bench) ping(ctx context.Context, _ *worker) error {
	app := b.app(b.bed.Path("notes"))
	out, code, err := b.bed.Run(ctx, command("ping", b.bed.Env(app), b.bed.Python, "-m", "celery", "-A", app.Name, "inspect", "ping"))
	if err == nil && code != 0 {
		err = fmt.Errorf("celery inspect ping exits with %d:\n%s", code, out)
	}
	return err
}
