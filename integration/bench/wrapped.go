package main

import (
	"context"
	"math"
	"time"

	"crisper/integration/bench/proctree"
	"crisper/integration/harness"
)

// wrappedExperiments are what it costs to have Crisper around a Celery worker that
// works as it did: the same worker, bare and as the child of the celery runtime.
func wrappedExperiments() []experiment {
	return []experiment{
		{name: "wrapped", wrapped: true, figures: append([]figure{{"no-op tasks, Celery's own worker inside (`--runtime=celery`)", "tasks/s", true, 0.97, 0}}, perTask(0)...),
			both: turns},
		{name: "wrapped-cost", wrapped: true, rounds: 3, figures: []figure{{"… the supervisor around it, PSS", "MB", false, 0, 25}, {"… probe", "ms", false, 0, 1}},
			run: wrappedCost},
	}
}

// wrappedSide has the name of ours, and as many tasks as Celery: both do the same work.
func wrappedSide() side {
	return side{name: ours, factor: 1, start: func(b *bench, app harness.App, args ...string) (*harness.Worker, error) {
		return b.bed.StartCrisper(app, append([]string{"--loglevel", "WARNING", "--runtime=celery"}, args...)...)
	}}
}

// wrappedCost is the memory of the first process alone, after the workers have worked
// and it has been asked, and the probe's time. A bare worker has no supervisor.
func wrappedCost(ctx context.Context, b *bench, s side) ([]float64, error) {
	w, err := b.fresh(ctx, s, b.bed.Path("notes"), 2)
	if err != nil {
		return nil, err
	}
	defer stop(w)
	if w.HTTP == "" {
		start := time.Now()
		err := b.ping(ctx, w)
		return []float64{math.NaN(), float64(time.Since(start).Microseconds()) / 1e3}, err
	}
	var ms []float64
	for range 200 {
		start := time.Now()
		if err := b.livez(ctx, w); err != nil {
			return nil, err
		}
		ms = append(ms, float64(time.Since(start).Microseconds())/1e3)
	}
	m, err := proctree.MeasureOne(w.PID())
	return []float64{float64(m.PSS) / 1e6, percentile(ms, 50)}, err
}
