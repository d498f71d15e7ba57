package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/supervisor/celery"
	"crisper/supervisor/command"
)

func TestExecPassesTheCommandOnAsItIs(t *testing.T) {
	tr := newTrial(nil)
	tr.exitWith = 3
	for _, line := range [][]string{
		{"exec", "--grace", "30", "--", "celery", "-A", "proj", "worker", "--grace=1", "-c", "8"},
		{"exec", "--grace", "30", "celery", "-A", "proj", "worker", "--grace=1", "-c", "8"},
	} {
		if code := tr.do(t, line...); code != 3 {
			t.Errorf("%q: exit code %d, want the command's: %s", line, code, tr.err.String())
		}
		cfg := tr.executed[len(tr.executed)-1]
		if diff := cmp.Diff([]string{"celery", "-A", "proj", "worker", "--grace=1", "-c", "8"}, cfg.Args); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
		if cfg.Command.Grace != 30*time.Second || cfg.Command.Margin != 3*time.Second {
			t.Errorf("%q: grace %s, margin %s", line, cfg.Command.Grace, cfg.Command.Margin)
		}
	}
}

func TestExecTakesItsOptionsFromTheEnvironmentToo(t *testing.T) {
	tr := newTrial(map[string]string{
		"CRISPER_STOP_SIGNAL": "quit", "CRISPER_PRE_STOP_DELAY": "5s", "CRISPER_GRACE": "30",
		"CRISPER_MEMORY_LIMIT_PER_CHILD": "800Mi", "CRISPER_MEMORY_ACTION": "command", "CRISPER_HTTP": "off",
	})
	if code := tr.do(t, "exec", "true"); code != 0 {
		t.Fatal(tr.err.String())
	}
	got := tr.executed[0].Command
	if got.StopSignal != syscall.SIGQUIT || got.PreStopDelay != 5*time.Second || got.MemoryLimit != 800<<20 ||
		got.MemoryAction != command.Whole || tr.executed[0].HTTP != "" {
		t.Errorf("got %+v", tr.executed[0])
	}
}

func TestExecRefusesWhatItCannotDo(t *testing.T) {
	for _, c := range []struct {
		line string
		want string
	}{
		{"exec", "no command is named"},
		{"exec --grace 30", "no command is named"},
		{"exec -A proj -- celery worker", "-A/--app is no option of exec"},
		{"exec --stop-signal KILL true", "not KILL or STOP"},
		{"exec --stop-signal HUPP true", "must be a signal such as"},
		{"exec --memory-action nobody true", "must be one of fattest, command"},
		{"exec --grace 5 --pre-stop-delay 5 true", "pre-stop delay of 5s leaves nothing"},
		{"exec --stop-signal x --guard-soft 0.9 --guard-hard 0.5 true", "guard hard (0.5) is not above"},
		{"exec --concurrency 5 true", "No such option '--concurrency'."},
		{"exec --children 2 -- true", "--children 2 is for Celery workers"},
		{"exec --children 2 -- celery -A proj worker -B", "-B/--beat is refused with --children 2"},
	} {
		tr := newTrial(nil)
		if code := tr.do(t, strings.Fields(c.line)...); code != 2 || !strings.Contains(tr.err.String(), c.want) {
			t.Errorf("%s: code %d, %s", c.line, code, tr.err.String())
		}
		if len(tr.executed)+len(tr.wrapped) > 0 {
			t.Errorf("%s: was run", c.line)
		}
	}
}

func TestExecSeatsACeleryWorkerInAPoolAsItWasWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "celery")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	tr := newTrial(nil)
	tr.exitWith = 3
	line := "exec --children 2 --max-tasks-per-child 1000 --http off -- celery -A proj worker -n mail@pod --children=9 -c 8"
	if code := tr.do(t, strings.Fields(line)...); code != 3 || len(tr.executed) > 0 || len(tr.wrapped) != 1 {
		t.Fatalf("exit code %d, run once: %v, in a pool: %v, %s", code, tr.executed, tr.wrapped, tr.err.String())
	}
	cfg := tr.wrapped[0]
	want := celery.Command{Path: path, Before: []string{"celery", "-A", "proj", "worker"}, After: []string{"--children=9", "-c", "8"}}
	if diff := cmp.Diff(want, cfg.Command); diff != "" {
		t.Error(diff)
	}
	if cfg.Pool.Slots != 2 || cfg.Pool.MaxTasks != 1000 || cfg.Hostname != "mail@pod" || cfg.OpenKeeper == nil {
		t.Errorf("got %+v", cfg)
	}
}

func TestAWorkerOfAPoolThatIsNotThereEndsExecLikeAShell(t *testing.T) {
	words := filepath.Join(t.TempDir(), "last-words")
	if err := os.WriteFile(words, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tr := newTrial(nil)
	code := tr.do(t, "exec", "--children", "2", "--termination-log", words, "--", "/no/such/celery", "worker")
	if code != 127 || len(tr.wrapped) > 0 || !strings.Contains(tr.err.String(), "cannot run /no/such/celery: no such file") {
		t.Errorf("exit code %d, started %v: %s", code, tr.wrapped, tr.err.String())
	}
	if text, _ := os.ReadFile(words); !strings.Contains(string(text), "cannot run /no/such/celery") {
		t.Errorf("the termination message is %q", text)
	}
}

func TestExecSaysWhyTheCommandEnded(t *testing.T) {
	tr := newTrial(nil)
	tr.exitWith, tr.why = 137, "job ended with signal 9"
	if code := tr.do(t, "exec", "--log-format", "json", "job"); code != 137 || !strings.Contains(tr.err.String(), tr.why) {
		t.Errorf("code %d: %s", code, tr.err.String())
	}
}
