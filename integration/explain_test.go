//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
)

// ordinary is the beginning of every app of the table.
const ordinary = `
from celery import Celery, bootsteps
from celery.worker import WorkController
from celery.worker.autoscale import Autoscaler
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from celery.worker.strategy import default
from click import Option

app = Celery('theirs', broker='redis://:hunter2@127.0.0.1:1/0')
`

type explained struct {
	Runtime  string   `json:"runtime"`
	Reasons  []string `json:"reasons"`
	Refused  []string `json:"refused"`
	Warnings []string `json:"warnings"`
	ExitCode int      `json:"exit_code"`
}

// reason is one app of the table, and what is said of it. No broker is there:
// nothing may be asked of one.
type reason struct {
	name, code, args string
	runtime, says    string
	exit             int
	newest           bool // only the newest Celery has it
}

var reasons = []reason{
	{name: "an ordinary app", runtime: "native", says: "needs nothing"},
	{name: "a bootstep of the consumer", code: "class Step(bootsteps.StartStopStep): pass\napp.steps['consumer'].add(Step)",
		runtime: "celery", says: "the app adds consumer bootsteps: theirs:Step"},
	{name: "a bootstep of the worker", code: "class Step(bootsteps.Step): pass\napp.steps['worker'].add(Step)",
		runtime: "celery", says: "the app adds worker bootsteps: theirs:Step"},
	{name: "natively, though it has a bootstep", code: "class Step(bootsteps.Step): pass\napp.steps['worker'].add(Step)", args: "--runtime native",
		runtime: "native", says: "cannot run this app natively: the app adds worker bootsteps: theirs:Step", exit: 2},
	{name: "a consumer", code: "class Mine(Consumer): pass\napp.conf.worker_consumer = 'theirs:Mine'",
		runtime: "celery", says: "worker_consumer is theirs:Mine"},
	{name: "an autoscaler", code: "class Mine(Autoscaler): pass\napp.conf.worker_autoscaler = 'theirs:Mine'",
		runtime: "celery", says: "worker_autoscaler is theirs:Mine"},
	{name: "a worker", code: "from celery.apps.worker import Worker\nclass Mine(Worker): pass\napp.Worker = app.subclass_with_self(Mine)",
		runtime: "celery", says: "app.Worker is theirs:Mine"},
	{name: "a strategy", code: "def mine(task, app, consumer, **kw): return default(task, app, consumer, **kw)\n@app.task(Strategy='theirs:mine')\ndef t(): pass",
		runtime: "celery", says: "task theirs.t has its own Strategy class: theirs:mine"},
	{name: "a request class", code: "class Mine(Request): pass\n@app.task(Request=Mine)\ndef t(): pass",
		runtime: "celery", says: "task theirs.t has its own Request class: theirs:Mine"},
	{name: "a pool in the settings", code: "app.conf.worker_pool = 'threads'", runtime: "celery", says: "the pool is celery.concurrency.thread:TaskPool"},
	{name: "the pool solo", code: "app.conf.worker_pool = 'solo'", runtime: "native", says: "needs nothing"},
	{name: "a pool on the command line", args: "-P gevent", runtime: "celery", says: "-P/--pool says gevent"},
	{name: "a start method in the settings", code: "app.conf.worker_pool_start_method = 'spawn'", newest: true, runtime: "celery", says: "worker_pool_start_method is 'spawn'"},
	{name: "memory", code: "app.conf.broker_url = 'memory://'", runtime: "celery", says: "the broker transport is memory"},
	{name: "a filesystem", args: "-b filesystem://", runtime: "celery", says: "the broker transport is filesystem"},
	{name: "SQS", code: "from kombu import transport\ntransport.TRANSPORT_ALIASES['sqs'] = 'kombu.transport.memory:Transport'\napp.conf.broker_url = 'sqs://'",
		runtime: "celery", says: "the broker transport is sqs"},
	{name: "RabbitMQ", args: "-b amqp://u:hunter2@127.0.0.1:1//", runtime: "celery", says: "the broker transport is amqp"},
	{name: "credentials made in Python", code: "app.conf.broker_transport_options = {'credential_provider': 'theirs.P'}",
		runtime: "celery", says: "broker_transport_options['credential_provider']"},
	{name: "what whole workers cannot have", args: "-b memory:// --statedb x", runtime: "celery", exit: 2,
		says: "-S/--statedb x is refused with --runtime=celery, which is needed because the broker transport is memory"},
	{name: "an option of the app's own", code: "app.user_options['worker'].add(Option(('--shiny',)))", args: "--shiny yes", runtime: "native", says: "needs nothing"},
	{name: "an option of nobody's", args: "--shiny yes", exit: 2, says: "No such option"},
	{name: "a setting on the command line that Celery does not have", args: "worker_shiny=yes", exit: 2, says: "Celery has no setting 'shiny'"},
	{name: "a setting on the command line", args: "worker_prefetch_multiplier=2", runtime: "native", says: "needs nothing"},
	{name: "a setting that is misspelt", code: "app.conf.worker_concurency = 2", runtime: "native", says: "Celery has no setting worker_concurency and ignores it: worker_concurrency is one"},
	{name: "a setting that is refused", code: "app.conf.worker_pidfile = 'x'", newest: true, runtime: "native", exit: 2, says: "the setting worker_pidfile=x is refused"},
	{name: "an app that does not load", code: "1 / 0", exit: 4, says: "ZeroDivisionError"},
}

func TestExplainNamesEveryReason(t *testing.T) {
	for name, options := range map[string]harness.Options{"newest": {}, "oldest": harness.Old(t)} {
		t.Run(name, func(t *testing.T) {
			b := harness.NewWith(t, options)
			for _, r := range reasons {
				// What is only typed is the same with every Celery.
				if name == "newest" || !r.newest && r.code != "" {
					t.Run(r.name, func(t *testing.T) { explains(t, b, r) })
				}
			}
		})
	}
}

func explains(t *testing.T, b *harness.Bed, r reason) {
	t.Helper()
	dir := t.TempDir()
	harness.Must(t, os.WriteFile(filepath.Join(dir, "theirs.py"), []byte(ordinary+r.code+"\n"), 0o644))
	args := append([]string{"worker", "--explain", "-A", "theirs", "--python", b.Python, "--workdir", dir}, strings.Fields(r.args)...)
	cmd := exec.CommandContext(harness.Deadline(t, 30*time.Second), b.Binary, args...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1", "C_FORCE_ROOT=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	var e explained
	if err := json.Unmarshal(out, &e); err != nil {
		t.Fatalf("it is no JSON: %v\n%s\n%s", err, out, stderr.String())
	}
	if code := cmd.ProcessState.ExitCode(); code != r.exit || e.ExitCode != r.exit {
		t.Errorf("exit code %d, says %d, want %d", code, e.ExitCode, r.exit)
	}
	said := strings.Join(slices.Concat(e.Reasons, e.Refused, e.Warnings), "\n")
	if e.Runtime != r.runtime || !strings.Contains(said, r.says) {
		t.Errorf("runtime %q, want %q; not said: %q in\n%s\n%s", e.Runtime, r.runtime, r.says, said, stderr.String())
	}
	if strings.Contains(string(out), "hunter2") {
		t.Error("the password shows")
	}
}

func TestAutoHandsOverToWholeWorkersWhenTheAppNeedsThem(t *testing.T) {
	s := harness.NewStage(t, harness.Options{})
	app := s.App
	app.Conf = map[string]any{"worker_pool": "threads"}
	w := harness.Got(s.StartCrisper(app, "-c", "2"))(t)
	harness.Must(t, w.WaitReady(harness.Deadline(t, 60*time.Second)))
	if line := harness.Got(w.WaitLog(harness.Deadline(t, 5*time.Second), "whole Celery workers run this app"))(t); !strings.Contains(line, "the pool is celery.concurrency.thread:TaskPool") {
		t.Errorf("the log does not say why: %s", line)
	}
	id := s.Send(t, harness.T("tick"))
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 20*time.Second), id))
	harness.Must(t, w.Signal(syscall.SIGTERM))
	code, _, err := w.Wait(harness.Deadline(t, 30*time.Second))
	harness.Must(t, err)
	if text := w.LogText(); code != 0 || strings.Contains(text, "cannot serve") || strings.Contains(text, "impossible") {
		t.Errorf("exit code %d", code)
	}
}

func TestARemappedTermIsASoftShutdown(t *testing.T) {
	for _, c := range []struct {
		name    string
		seconds int // of the task
		exit    int
		ends    bool
	}{
		{"a task that ends in time", 2, 0, true},
		{"a task that does not", 300, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := harness.NewStage(t, harness.Options{})
			app := s.App
			app.Conf = map[string]any{"worker_soft_shutdown_timeout": 15}
			if !c.ends {
				app.Conf["worker_soft_shutdown_timeout"] = 2
			}
			app.Env = append(app.Env, "REMAP_SIGTERM=SIGQUIT")
			w := harness.Got(s.StartCrisper(app, "-c", "1"))(t)
			harness.Must(t, w.WaitReady(harness.Deadline(t, 60*time.Second)))
			id := s.Send(t, harness.T("sleepy", c.seconds))
			harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), id))
			harness.Must(t, w.Signal(syscall.SIGTERM))
			_ = harness.Got(w.WaitLog(harness.Deadline(t, 10*time.Second), "Initiating Soft Shutdown"))(t)
			code, _, err := w.Wait(harness.Deadline(t, 40*time.Second))
			harness.Must(t, err)
			if code != c.exit {
				t.Errorf("exit code %d, want %d", code, c.exit)
			}
			if r := harness.Got(s.Journal.Tasks())(t)[id]; (r.Ends == 1 && r.Entries[1].Outcome == "ok") != c.ends {
				t.Errorf("the task ended as %+v", r)
			}
		})
	}
}
