package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCelerysOwnOptionsReachTheWrappedWorkers(t *testing.T) {
	tr := newTrial(map[string]string{"CELERY_WORKER_CONCURRENCY": "9"})
	line := "worker --runtime=celery --children 3 -A proj -n mail@pod -P gevent -Q a,b -E --max-tasks-per-child 100 --max-memory-per-child 300Mi --grace 30 x=y"
	if code := tr.do(t, strings.Fields(line)...); code != 0 {
		t.Fatal(tr.err.String())
	}
	cfg := tr.wrapped[0]
	if diff := cmp.Diff([]string{"--app=proj"}, cfg.Global); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"--pool=gevent", "--task-events", "--queues=a,b", "x=y"}, cfg.Worker); diff != "" {
		t.Error(diff)
	}
	if p := cfg.Pool; p.Slots != 3 || p.MaxTasks != 100 || p.MaxMemory != 300<<20 || cfg.Hostname != "mail@pod" ||
		cfg.Grace != 30*time.Second || cfg.Margin != 5*time.Second {
		t.Errorf("got %+v", cfg)
	}
	if len(tr.started) > 0 {
		t.Error("a native worker was started as well")
	}
}

func TestWhatWrappedWorkersCannotHaveIsRefused(t *testing.T) {
	for line, want := range map[string]string{
		"--runtime=celery --purge":                     "--purge is refused with --runtime=celery",
		"--runtime=celery -S state.db":                 "-S/--statedb state.db is refused with --runtime=celery",
		"--runtime=celery --on-cutoff fail":            "--on-cutoff fail is refused",
		"--runtime=native --hang-timeout 5s":           "--hang-timeout 5s is refused with --runtime=native: executors take nothing by themselves",
		"--runtime=celery --memory-kill-per-child 1Gi": "not killed in the middle",
		"--runtime=celery --children 0":                "--children must be at least 1",
		"--runtime=celery -B":                          "-B/--beat is refused",
		"--runtime=native --children 2":                "--children 2 is refused with --runtime=native: the number of executors is --concurrency",
		"--runtime=native -P gevent":                   "-P/--pool gevent is refused with --runtime=native: children here are processes",
		"--runtime=native --pool-start-method spawn":   "children are forked",
		"-P gevent --depth 3":                          "--depth 3 is refused with --runtime=celery, which is needed because -P/--pool says gevent",
		"--runtime=gevent":                             "must be one of auto, native, celery",
	} {
		tr := newTrial(nil)
		args := append([]string{"worker", "-A", "proj"}, strings.Fields(line)...)
		if code := tr.do(t, args...); code != 2 || !strings.Contains(tr.err.String(), want) {
			t.Errorf("%s: code %d, %s", line, code, tr.err.String())
		}
	}
}
