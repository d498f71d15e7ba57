package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"crisper/integration/harness"
)

// peerPackages are the other task queues for Python in the table, with what they
// need to speak with Redis.
var peerPackages = []string{"dramatiq[redis]", "huey", "redis"}

// peerSides are measured in rounds of their own, with Crisper beside them: Celery
// with everything switched off that it could do without, Dramatiq and Huey.
func peerSides(s size) []side {
	crisper := sides(s)[1]
	return []side{
		{name: "celery tuned", factor: 1, start: func(b *bench, app harness.App, args ...string) (*harness.Worker, error) {
			tuned := "--loglevel WARNING --prefetch-multiplier 64 --without-gossip --without-mingle --without-heartbeat"
			return b.bed.StartStock(app, append(words(tuned), args...)...)
		}},
		{name: "dramatiq", factor: 3, fill: fillWith("peer_dramatiq.py"),
			start: startPeer("dramatiq", "-m", "dramatiq", "peer_dramatiq", "--processes", "2")},
		{name: "huey", factor: 1, fill: fillWith("peer_huey.py"),
			start: startPeer("huey", "-m", "huey.bin.huey_consumer", "peer_huey.huey", "-k", "process", "-w", "2", "-q")},
		crisper,
	}
}

func peerExperiment() experiment {
	return experiment{name: "peers", figures: []figure{{Title: "no-op tasks", Unit: "tasks/s", Higher: true, Goal: 3}},
		rounds: 3, run: throughput("noop", "-c 2", 1)}
}

// startPeer ignores the arguments, which are Celery's: both peers are given two
// processes in their own words.
func startPeer(name string, line ...string) func(*bench, harness.App, ...string) (*harness.Worker, error) {
	return func(b *bench, app harness.App, _ ...string) (*harness.Worker, error) {
		p, err := b.bed.Start(command(name, b.peerEnv(app), append([]string{b.peers}, line...)...))
		if err != nil {
			return nil, err
		}
		return &harness.Worker{Process: p}, nil
	}
}

func fillWith(script string) func(context.Context, *bench, int) error {
	return func(ctx context.Context, b *bench, n int) error {
		line := []string{b.peers, b.source("app", script), strconv.Itoa(n)}
		out, code, err := b.bed.Run(ctx, command("fill", b.peerEnv(b.app("")), line...))
		if err == nil && code != 0 {
			err = fmt.Errorf("%s exits with %d:\n%s", script, code, out)
		}
		return err
	}
}

func (b *bench) peerEnv(app harness.App) []string {
	return append(b.bed.Env(app), "BENCH_REDIS="+b.redis.URL(2))
}

// peerPython makes the peers' virtual environment once and returns its interpreter.
func peerPython(ctx context.Context, bed *harness.Bed) (string, error) {
	dir := filepath.Join(bed.Root, ".venv-peers")
	python := filepath.Join(dir, "bin", "python")
	mark := filepath.Join(dir, "complete")
	if _, err := os.Stat(mark); err == nil {
		return python, nil
	}
	for _, line := range [][]string{
		{bed.Python, "-m", "venv", "--clear", dir},
		append([]string{python, "-m", "pip", "install", "--quiet"}, peerPackages...),
	} {
		out, code, err := bed.Run(ctx, command("peers", nil, line...))
		if err != nil || code != 0 {
			return "", fmt.Errorf("cannot install Dramatiq and Huey (leave them out with -peers=false): exit %d: %w\n%s", code, err, out)
		}
	}
	return python, os.WriteFile(mark, nil, 0o644)
}
