//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"crisper/integration/harness"
)

// refusals: command lines and surroundings that cannot work. Each ends by itself,
// with its exit code and a sentence that a user understands.
var refusals = []struct {
	name   string
	args   []string // after `crisper worker`
	broker string   // %d is the port of the redis-server; empty: the right one
	env    []string
	conf   map[string]any
	code   int
	says   []string
	within time.Duration
}{
	{name: "an app that does not import", args: []string{"-A", "broken"}, code: 4,
		says: []string{"RuntimeError: the settings are not there", "broken.py"}},
	{name: "a module that is not there", args: []string{"-A", "no_such_module"}, code: 4, says: []string{"no_such_module"}},
	{name: "a module without an app", args: []string{"-A", "plain"}, code: 4, says: []string{"plain"}},
	{name: "no app at all", args: nil, code: 2, says: []string{"no app is named", "-A"}},
	{name: "an unknown option", args: []string{"-A", "sample", "--concurency", "2"}, code: 2,
		says: []string{"crisper: No such option '--concurency'. Did you mean '--concurrency'? `crisper worker --help` lists the options"}},
	{name: "an unknown option that is almost one of ours", args: []string{"-A", "sample", "--gracee", "2"}, code: 2, says: []string{"No such option '--gracee'. Did you mean '--grace'?"}},
	{name: "an option without its value", args: []string{"-A", "sample", "-c"}, code: 2, says: []string{"-c"}},
	{name: "an address that is none", args: []string{"-A", "sample", "--http", "notaport"}, code: 2, says: []string{"--http must be an address such as :9810"}},
	{name: "a state that cannot be kept", args: []string{"-A", "sample", "--statedb", "/no/such/dir/state"}, code: 2, says: []string{"--statedb", "/no/such/dir"}},
	{name: "a value that is no number", args: []string{"-A", "sample", "-c", "many"}, code: 2, says: []string{"many"}},
	{name: "a pool that only Celery has", args: []string{"-A", "sample", "-P", "gevent", "--runtime=native"}, code: 2, says: []string{"--pool", "--runtime=celery"}},
	{name: "an embedded Beat", args: []string{"-A", "sample", "-B"}, code: 2, says: []string{"Beat"}},
	{name: "an interpreter that is not there", args: []string{"-A", "sample", "--python", "/no/such/python"}, code: 2, says: []string{"/no/such/python"}},
	{name: "a broker of another kind", args: []string{"-A", "sample", "--runtime=native"}, broker: "amqp://guest:secret@127.0.0.1:%d//", code: 2, says: []string{"amqp"}},
	{name: "a setting that is no number", args: []string{"-A", "sample"}, conf: map[string]any{"worker_prefetch_multiplier": "a"}, code: 2,
		says: []string{"the setting worker_prefetch_multiplier is 'a' and has to be a number"}},
	{name: "a limit that is no number", args: []string{"-A", "sample"}, conf: map[string]any{"task_time_limit": "x", "worker_max_tasks_per_child": "y"}, code: 2,
		says: []string{"the setting task_time_limit is 'x' and has to be a number", "the setting worker_max_tasks_per_child is 'y'"}},
	{name: "a wrong password", args: []string{"-A", "sample"}, broker: "redis://:wrong-secret@127.0.0.1:%d/0", code: 5, says: []string{"WRONGPASS"}},
	{name: "no password where one is needed", args: []string{"-A", "sample"}, broker: "redis://127.0.0.1:%d/0", code: 5, says: []string{"NOAUTH"}},
	{name: "a broker that is not there and may not be waited for", args: []string{"-A", "sample"}, broker: "redis://:secret@127.0.0.1:1/0",
		conf: map[string]any{"broker_connection_retry_on_startup": false}, code: 5, says: []string{"127.0.0.1:1"}},
	{name: "a broker that is not there after the allowed tries", args: []string{"-A", "sample"}, broker: "redis://:secret@127.0.0.1:1/0",
		conf: map[string]any{"broker_connection_retry_on_startup": true, "broker_connection_max_retries": 1}, code: 5, says: []string{"127.0.0.1:1"}, within: 30 * time.Second},
}

func TestBadInputEndsWithASentenceAndACode(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	r, err := b.StartRedis(harness.Deadline(t, 20*time.Second), harness.RedisOptions{Password: "secret"})
	harness.Must(t, err)
	for _, row := range refusals {
		t.Run(row.name, func(t *testing.T) {
			app := harness.App{Broker: r.URL(0), Conf: row.conf, Env: row.env}
			if strings.Contains(row.broker, "%d") {
				app.Broker = fmt.Sprintf(row.broker, r.Port)
			} else if row.broker != "" {
				app.Broker = row.broker
			}
			line := append([]string{b.Binary, "worker", "--http", "off", "--socket", "off", "--python", b.Python}, row.args...)
			within := max(row.within, 15*time.Second)
			out, code, err := b.Run(harness.Deadline(t, within), harness.Command{Name: "crisper", Args: line, Env: b.Env(app)})
			if err != nil {
				t.Fatalf("it did not end: %v\n%s", err, out)
			}
			if code != row.code || !contains(out, row.says...) {
				t.Errorf("exit code %d, want %d with %q; it said:\n%s", code, row.code, row.says, out)
			}
			if strings.Contains(out, "secret") {
				t.Errorf("it shows the password:\n%s", out)
			}
		})
	}
}

func TestABrokerThatComesLateIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	ctx := harness.Deadline(t, 60*time.Second)
	r, err := b.StartRedis(ctx, harness.RedisOptions{Durable: true})
	harness.Must(t, err)
	app := harness.App{Broker: r.URL(0), Backend: r.URL(1)}
	client, err := b.StartClient(app)
	harness.Must(t, err)
	id, err := client.Send(harness.T("add", 1, 2))
	harness.Must(t, err)
	r.Kill()
	w, err := b.StartCrisper(app, "-c", "1")
	harness.Must(t, err)
	harness.Got(w.WaitLog(ctx, "Cannot connect|cannot connect|onnection refused"))(t)
	if code, body, err := w.Get(ctx, "/livez"); err != nil || code != 200 {
		t.Errorf("without a broker /livez says %d %s %v", code, body, err)
	}
	harness.Must(t, r.Start(ctx))
	harness.Must(t, w.WaitReady(ctx))
	harness.Must(t, b.Journal.UntilEnded(ctx, id))
}

// messages that no worker can run. None of them may keep the next one from running,
// and none may stay in the broker.
var messages = []struct {
	name, send string
	stock      bool // Celery's own worker survives it too
}{
	{"an unknown task", `send_envelope(headers__task="no.such.task")`, true},
	{"no task name", `send_envelope(headers__task=None)`, true},
	{"a task name that is a number", `send_envelope(headers__task=7)`, false},
	{"no headers", `send_envelope(headers=None)`, false},
	{"no properties", `send_envelope(properties=None)`, false},
	{"no delivery tag", `send_envelope(properties__delivery_tag=None)`, false},
	{"no body", `send_envelope(body=None)`, false},
	{"a body that is not base64", `send_envelope(body="!!!")`, false},
	{"a body that is not JSON", `send_envelope(body="e25vdCBqc29u")`, true},
	{"a body of another shape", `send_envelope(body="NDI=")`, false},
	{"a content type that is not accepted", `send_envelope(**{"content-type": "application/x-python-serialize"})`, true},
	{"an unknown content type", `send_envelope(**{"content-type": "application/x-no-such"})`, true},
	{"an unknown encoding", `send_envelope(**{"content-encoding": "no-such-8"})`, false},
	{"an ETA that is no time", `send_envelope(headers__eta="soon")`, true},
	{"an expiry that is no time", `send_envelope(headers__expires="never")`, true},
	{"retries that are no number", `send_envelope(headers__retries="many")`, false},
	{"time limits that are no numbers", `send_envelope(headers__timelimit=["a", "b"])`, false},
	{"no JSON at all", `send_raw("not json")`, false},
	{"an empty message", `send_raw("")`, false},
	{"a JSON number", `send_raw("42")`, false},
	{"bytes that are no text", `send_raw(bytes(range(256)))`, false},
	{"nested ten thousand deep", `send_raw("[" * 10000 + "]" * 10000)`, false},
	{"headers nested ten thousand deep", `send_raw('{"headers": ' + "[" * 10000 + "]" * 10000 + "}")`, false},
	{"twenty megabytes of nothing", `send_raw("x" * 20000000)`, false},
	{"a megabyte of headers", `send_envelope(headers__more="x" * 1000000)`, true},
}

func TestABadMessageHarmsNoOther(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "1")
	for _, row := range messages {
		t.Run(row.name, func(t *testing.T) {
			var ignored any
			harness.Must(t, s.Client.Eval(row.send, &ignored))
			evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
			isEmpty(t, s)
		})
	}
	if state := harness.Got(w.State(harness.Deadline(t, 5*time.Second)))(t); len(state.Slots) != 1 || state.Slots[0].State != "ready" {
		t.Errorf("after all that the slots are %+v", state.Slots)
	}
}

func TestTheStockWorkerSurvivesWhatTheTableSays(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	s.Stock(t, "-c", "1")
	for _, row := range messages {
		if !row.stock {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			var ignored any
			harness.Must(t, s.Client.Eval(row.send, &ignored))
			evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
			isEmpty(t, s)
		})
	}
}

func TestPasswordsAppearNowhere(t *testing.T) {
	t.Parallel()
	const password = "s3cret-of-the-broker"
	b := harness.New(t)
	ctx := harness.Deadline(t, 60*time.Second)
	s, err := b.Stage(ctx, harness.RedisOptions{Password: password})
	harness.Must(t, err)
	w := s.Crisper(t, "-c", "1", "--loglevel", "DEBUG")
	evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
	shown := map[string]string{"the log": w.LogText()}
	for _, path := range []string{"/state", "/metrics", "/livez", "/readyz"} {
		_, body, err := w.Get(ctx, path)
		harness.Must(t, err)
		shown[path] = body
	}
	out, _, err := s.Run(ctx, harness.Command{Name: "ps", Args: []string{"ps", "-e", "-o", "args"}})
	harness.Must(t, err)
	shown["the process titles"] = out
	for where, text := range shown {
		if strings.Contains(text, password) {
			t.Errorf("%s shows the password", where)
		}
	}
}

func TestHintsPrintsTheBacklogOrFails(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	ctx := harness.Deadline(t, 60*time.Second)
	for range 3 {
		s.Send(t, harness.T("tick"))
	}
	hints := func(app harness.App) (string, int) {
		out, code, err := s.Run(ctx, harness.Command{Name: "hints",
			Args: []string{s.Binary, "hints", "--once", "-A", "sample", "--python", s.Python}, Env: s.Env(app)})
		harness.Must(t, err)
		return out, code
	}
	if out, code := hints(s.App); code != 0 || !contains(out, `"default"`, `"ready":`, `3`) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	gone := s.App
	gone.Broker = "redis://127.0.0.1:1/0"
	if out, code := hints(gone); code == 0 || strings.Contains(out, `"ready"`) {
		t.Errorf("without a broker: exit code %d:\n%s", code, out)
	}
}
