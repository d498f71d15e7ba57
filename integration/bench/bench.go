package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"crisper/integration/bench/load"
	"crisper/integration/harness"
)

// bench is the ground that all experiments stand on: one redis-server, one
// application, one counter.
type bench struct {
	bed       *harness.Bed
	redis     *harness.Redis
	templates map[string]load.Template
	counter   *counter
	size      size
	peers     string // interpreter with Dramatiq and Huey; empty: without them
	profile   string // folder for the samples of the children; empty: no profiling
}

// size says how much is measured. Crisper is given more messages than Celery, so
// that both work for about as long; what is compared are rates.
type size struct {
	Rounds     int           `json:"rounds"`
	Tasks      int           `json:"tasks"`  // for the stock worker
	Factor     int           `json:"factor"` // times as many for Crisper
	Latencies  int           `json:"latencies"`
	Recyclings int           `json:"recyclings"`
	Idle       time.Duration `json:"idle"`
}

var (
	full  = size{Rounds: 5, Tasks: 3000, Factor: 15, Latencies: 200, Recyclings: 30, Idle: 20 * time.Second}
	smoke = size{Rounds: 1, Tasks: 150, Factor: 2, Latencies: 10, Recyclings: 2, Idle: 2 * time.Second}
)

// patience bounds every wait: nothing here takes minutes unless it is stuck.
const patience = 3 * time.Minute

const queue = "bench"

func newBench(ctx context.Context, bed *harness.Bed, s size, peers, profile string) (*bench, error) {
	r, err := bed.StartRedis(ctx, harness.RedisOptions{})
	if err != nil {
		return nil, err
	}
	c, err := newCounter(bed.Path("counter"))
	if err != nil {
		return nil, err
	}
	bed.OnClose(c.close)
	b := &bench{bed: bed, redis: r, counter: c, size: s, peers: peers, profile: profile}
	app := b.app("")
	b.templates, err = load.Capture(ctx, load.App{Python: bed.Python, Module: app.Name, Env: bed.Env(app)},
		b.source("load", "capture.py"), "benchapp.noop", "benchapp.add", "benchapp.stamp", "benchapp.pulse")
	return b, err
}

func (b *bench) source(parts ...string) string {
	return filepath.Join(append([]string{b.bed.Root, "integration", "bench"}, parts...)...)
}

// app is the application with its notes in a file of its own. Results go to a
// database of their own; tasks that have none write none.
func (b *bench) app(notes string) harness.App {
	app := harness.App{
		Name: "benchapp", Broker: b.redis.URL(0), Backend: b.redis.URL(1),
		Env: []string{"PYTHONPATH=" + b.source("app"), "BENCH_COUNTER=" + b.counter.file.Name(), "BENCH_LOG=" + notes},
	}
	if b.profile != "" {
		app.Name = "profile_app" // the same, with a sampler in its children
		app.Env[0] += ":" + filepath.Join(b.bed.Root, "integration", "tools")
		app.Env = append(app.Env, "PROFILE_APP=benchapp", "PROFILE_DIR="+b.profile)
	}
	return app
}

// clean empties the broker and the counter. Only while no worker runs.
func (b *bench) clean(ctx context.Context) error {
	b.counter.reset()
	if err := b.redis.Client.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("cannot empty redis: %w", err)
	}
	return nil
}

func (b *bench) publish(ctx context.Context, task string, messages []load.Message) error {
	return b.templates["benchapp."+task].Publish(ctx, b.redis.Client, messages)
}

// ready waits until the worker has run a task: the only sign of readiness that
// means the same for everybody.
func (b *bench) ready(ctx context.Context, children int) error {
	before := b.counter.sum()
	n := 50 * children // every child gets some
	if err := b.publish(ctx, "noop", load.Messages(n)); err != nil {
		return err
	}
	if err := b.counter.until(ctx, before+n); err != nil {
		return fmt.Errorf("the worker did not get ready: %w", err)
	}
	return b.redis.UntilEmpty(ctx, queue)
}

// side is a worker to be measured: how it is started, and how many tasks it is
// given.
type side struct {
	name   string
	factor int
	start  func(b *bench, app harness.App, args ...string) (*harness.Worker, error)
	// fill, if not nil, puts n no-op messages into the queue in the side's own format.
	fill func(ctx context.Context, b *bench, n int) error
}

func sides(s size) []side {
	return []side{
		{name: "celery", factor: 1, start: func(b *bench, app harness.App, args ...string) (*harness.Worker, error) {
			return b.bed.StartStock(app, append([]string{"--loglevel", "WARNING"}, args...)...)
		}},
		{name: "crisper", factor: s.Factor, start: func(b *bench, app harness.App, args ...string) (*harness.Worker, error) {
			return b.bed.StartCrisper(app, append([]string{"--loglevel", "WARNING"}, args...)...)
		}},
	}
}

// stop ends a worker as a pod would be ended, and by force if it does not leave.
func stop(w *harness.Worker) {
	_ = w.Signal(syscall.SIGTERM) // it may have gone already
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, _, _ = w.Wait(ctx)
	w.End()
}

// words splits a command line that contains no quotes.
func words(line string) []string { return strings.Fields(line) }
