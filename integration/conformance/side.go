package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"crisper/integration/harness"
)

// options of the worker, as the tests' own worker has them.
var options = []string{"-P", "prefork", "-c", "1", "-l", "INFO", "--without-mingle", "--without-gossip", "--without-heartbeat"}

// runner runs the tests.
type runner struct {
	bed     *harness.Bed
	source  string // directory with t and pyproject.toml
	timeout time.Duration
	skip    string // file of tests that do not apply
	only    string // file of the tests to run; empty: all
	say     func(format string, args ...any)
}

// round runs the sides at the same time and puts what they tell into the report.
func (r *runner) round(ctx context.Context, number int, sides []string, into *report) error {
	var wait sync.WaitGroup
	results, failures := make([][]event, len(sides)), make([]error, len(sides))
	for i, side := range sides {
		wait.Go(func() {
			results[i], failures[i] = r.side(ctx, number, side)
		})
	}
	telling, over := context.WithCancel(ctx)
	defer over()
	go r.tellProgress(telling, number, sides)
	wait.Wait()
	for i, side := range sides {
		if failures[i] != nil {
			return fmt.Errorf("cannot run the tests with %s: %w", side, failures[i])
		}
		into.add(side, results[i])
	}
	return nil
}

// side runs all tests once, with one kind of worker.
func (r *runner) side(ctx context.Context, number int, side string) ([]event, error) {
	redis, err := r.bed.StartRedis(ctx, harness.RedisOptions{})
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s-%d", side, number)
	worker, probe, err := r.worker(side)
	if err != nil {
		return nil, err
	}
	results := r.results(number, side)
	env := append(r.environment(redis),
		"CONFORMANCE_WORKER="+worker, "CONFORMANCE_READY="+probe,
		"CONFORMANCE_LOG="+r.bed.Path(name+"-worker.log"), "CONFORMANCE_RESULTS="+results)
	start := time.Now()
	p, err := r.bed.Start(harness.Command{Name: name + "-pytest", Args: r.pytest(), Env: env})
	if err != nil {
		return nil, err
	}
	code, _, err := p.Wait(ctx)
	if err != nil {
		p.End() // what is there by now is still worth a report
	}
	r.say("%-8s round %d: %s, pytest ended with %d", side, number, time.Since(start).Round(time.Second), code)
	if code > 1 { // 0: all passed, 1: some failed; above: the tests as a whole could not be run
		return nil, fmt.Errorf("pytest ended with %d, see %s", code, p.Log)
	}
	return readEvents(results)
}

// results is where the tests of a round tell what becomes of them.
func (r *runner) results(number int, side string) string {
	return r.bed.Path(fmt.Sprintf("%s-%d.jsonl", side, number))
}

// worker is the command as JSON, and where it can be asked whether it is ready.
func (r *runner) worker(side string) (command, probe string, err error) {
	args := []string{filepath.Join(filepath.Dir(r.bed.Python), "celery"), "-A", "external_app", "worker", "-n", "{node}"}
	if side == crisperSide {
		port, err := harness.FreePort()
		if err != nil {
			return "", "", err
		}
		address := "127.0.0.1:" + strconv.Itoa(port)
		probe = "http://" + address + "/readyz"
		args = []string{r.bed.Binary, "worker", "-A", "external_app", "-n", "{node}",
			"--python", r.bed.Python, "--http", address, "--log-format", "console"}
	}
	text, err := json.Marshal(append(args, options...))
	return string(text), probe, err
}

func (r *runner) pytest() []string {
	return []string{r.bed.Python, "-m", "pytest",
		"-p", "external_worker", "-p", "celery.contrib.pytest", "-p", "no:cacheprovider",
		"-c", filepath.Join(r.source, "pyproject.toml"), "--rootdir", r.source,
		// Some tests that are expected to fail pass on Redis, with Celery's own worker too.
		"-o", "xfail_strict=false",
		"--timeout", fmt.Sprint(r.timeout.Seconds()), "-q", filepath.Join(r.source, "t", "integration")}
}

// environment is the same on both sides but for the server.
func (r *runner) environment(redis *harness.Redis) []string {
	return []string{
		// Some tests start `celery` by its name.
		"PATH=" + filepath.Dir(r.bed.Python) + string(filepath.ListSeparator) + os.Getenv("PATH"),
		"PYTHONPATH=" + r.source + string(filepath.ListSeparator) + filepath.Join(r.bed.Root, "integration", "conformance", "app"),
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1",
		// The tests' helpers look into database 0 themselves.
		"TEST_BROKER=" + redis.URL(3), "TEST_BACKEND=" + redis.URL(0),
		"REDIS_HOST=127.0.0.1", "REDIS_PORT=" + strconv.Itoa(redis.Port),
		"CONFORMANCE_SKIP=" + r.skip, "CONFORMANCE_ONLY=" + r.only,
	}
}
