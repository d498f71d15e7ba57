package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor"
	"crisper/supervisor/agent"
	"crisper/supervisor/ops"
)

func liveState() ops.State {
	begun := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	return ops.State{
		Version: "v1.0.0", Hostname: "celery@pod", Runtime: "native", PID: 1, StartedAt: begun, Now: begun.Add(75 * time.Second),
		Phase: "ready", App: "proj", Python: "3.11.7", Celery: "5.7.0",
		Broker: ops.BrokerState{Server: "redis://h:6379/0", Connected: true},
		Slots: []ops.SlotState{
			{Slot: 0, State: "busy", Child: 3, PID: 812, Generation: 1, TasksDone: 41, AgeSeconds: 61.5, MemoryBytes: 31 << 20,
				Task: &ops.TaskState{ID: "5f1c", Name: "proj.add", RunningSeconds: 0.25}},
			{Slot: 1, State: "killing", Reason: "hard_limit", Child: 4, PID: 813, Generation: 2, AgeSeconds: 3700},
			{Slot: 2, State: "empty"},
		},
		Queues:     map[string]ops.Queue{"emails": {Ready: 12, OldestAgeSeconds: 3.2}, "celery": {Unacked: 2, Scheduled: 1}},
		Deliveries: ops.DeliveryCounts{Reserved: 4, Active: 1},
		Tasks:      ops.TaskCounts{Received: 60, Succeeded: 54, Failed: 1},
		Cgroup:     ops.CgroupState{Version: 2, CurrentBytes: 300 << 20, LimitBytes: 11 << 30},
	}
}

func TestTheStateTable(t *testing.T) {
	for name, color := range map[string]bool{"state.txt": false, "state-color.txt": true} {
		var out strings.Builder
		writeState(&out, liveState(), color)
		golden(t, name, out.String())
	}
}

// runAdmin serves liveState on a socket and counts drains.
func runAdmin(t *testing.T) (path string, drained chan struct{}) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "cmd") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "w.sock")
	return path, runAdminAt(t, path)
}

func runAdminAt(t *testing.T, path string) (drained chan struct{}) {
	t.Helper()
	drained = make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	listening, ended := make(chan string, 1), make(chan error, 1)
	admin := ops.NewAdmin(ops.AdminOptions{
		State: func(context.Context) (ops.State, error) { return liveState(), nil },
		Drain: func() { drained <- struct{}{} }, Listening: func(path string) { listening <- path },
	})
	go func() { ended <- admin.Run(ctx, path) }()
	t.Cleanup(func() { cancel(); <-ended })
	<-listening
	return drained
}

func TestStateIsJSONInAPipe(t *testing.T) {
	path, _ := runAdmin(t)
	tr := newTrial(nil)
	if code := tr.do(t, "state", "--socket", path); code != 0 {
		t.Fatalf("exit code %d: %s", code, tr.err.String())
	}
	var state ops.State
	if err := json.Unmarshal(tr.out.Bytes(), &state); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(liveState(), state); diff != "" {
		t.Error(diff)
	}
}

func TestDrainReachesTheWorker(t *testing.T) {
	path, drained := runAdmin(t)
	tr := newTrial(map[string]string{"CRISPER_SOCKET": path})
	if code := tr.do(t, "drain"); code != 0 || tr.out.String() != "draining\n" {
		t.Fatalf("exit code %d: %s", code, tr.err.String())
	}
	<-drained
}

func TestAmongSeveralWorkersNoneIsDrainedByAccident(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "cmd") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	env := map[string]string{"XDG_RUNTIME_DIR": dir}
	getenv := func(name string) string { return env[name] }
	first := ops.DefaultSocket(getenv, 41)
	drained := runAdminAt(t, first)
	if found, err := ops.FindSockets(getenv); err != nil || len(found) > 1 {
		t.Skipf("another worker of this user runs here: %v", found)
	}
	tr := newTrial(env)
	if code := tr.do(t, "drain"); code != 0 {
		t.Fatalf("the only one: exit code %d: %s", code, tr.err.String())
	}
	<-drained

	second := ops.DefaultSocket(getenv, 42)
	other := runAdminAt(t, second)
	tr = newTrial(env)
	if code := tr.do(t, "drain"); code != supervisor.ExitUsage {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"2 processes of this user answer", "--socket " + first + "  celery@pod, ", "--socket " + second + "  celery@pod, "} {
		if !strings.Contains(tr.err.String(), want) {
			t.Errorf("it says %q, want %q in it", tr.err.String(), want)
		}
	}
	tr = newTrial(env)
	if code := tr.do(t, "state"); code != 0 || !strings.Contains(tr.err.String(), second+" was started last") {
		t.Errorf("state: exit code %d, it says %q", code, tr.err.String())
	}
	if len(drained)+len(other) > 0 {
		t.Error("one was drained")
	}
	tr = newTrial(env)
	if code := tr.do(t, "drain", "--socket", first); code != 0 {
		t.Errorf("the one that is named: exit code %d: %s", code, tr.err.String())
	}
	<-drained
}

func TestNobodyToAskIsSaid(t *testing.T) {
	tr := newTrial(nil)
	missing := filepath.Join(t.TempDir(), "no.sock")
	for _, command := range []string{"state", "drain"} {
		if code := tr.do(t, command, "--socket", missing); code != supervisor.ExitFailure || !strings.Contains(tr.err.String(), missing) {
			t.Errorf("%s: exit code %d: %s", command, code, tr.err.String())
		}
	}
}

// fakeConsumer is a broker that answers, or does not.
type fakeConsumer struct {
	broker.Consumer // what hints must not call panics
	events          chan broker.Event
	happens         []broker.Event
	gaveUp          error
	backlog         map[string]broker.Backlog
	backlogErr      error
}

func (f *fakeConsumer) Run(ctx context.Context) error {
	defer close(f.events)
	for _, event := range f.happens {
		f.events <- event
	}
	if f.gaveUp != nil {
		return f.gaveUp
	}
	<-ctx.Done()
	return nil
}
func (f *fakeConsumer) Events() <-chan broker.Event { return f.events }
func (f *fakeConsumer) Backlog(context.Context) (map[string]broker.Backlog, error) {
	return f.backlog, f.backlogErr
}
func (f *fakeConsumer) Close(context.Context) error { return nil }

func hintsTrial(consumer *fakeConsumer, loaded error) *trial {
	tr := newTrial(nil)
	tr.loadInfo = func(_ context.Context, _ string, opts agent.Options, _ io.Writer) (agent.Info, error) {
		if opts.Only != "info" || opts.App != "proj" {
			panic(fmt.Sprintf("asked with %+v", opts))
		}
		return agent.Info{}, loaded
	}
	tr.openBroker = func(agent.Info, string, *zap.Logger) (broker.Consumer, error) {
		consumer.events = make(chan broker.Event)
		return consumer, nil
	}
	return tr
}

func TestHintsPrintTheBacklog(t *testing.T) {
	tr := hintsTrial(&fakeConsumer{
		happens: []broker.Event{broker.Disconnected{Err: errors.New("first server is down")}, broker.Connected{}},
		backlog: map[string]broker.Backlog{"celery": {Ready: 7, Unacked: 2, Scheduled: 1, OldestAge: 3200 * time.Millisecond}, "emails": {}},
	}, nil)
	if code := tr.do(t, "hints", "--once", "-A", "proj"); code != 0 {
		t.Fatalf("exit code %d: %s", code, tr.err.String())
	}
	var got, want any
	if err := json.Unmarshal(tr.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal([]byte(`{"queues":{"celery":{"ready":7,"unacked":2,"scheduled":1,"oldest_age_seconds":3.2},
		"emails":{"ready":0,"unacked":0,"scheduled":0,"oldest_age_seconds":0}}}`), &want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHintsWithoutABrokerAreNoFigures(t *testing.T) {
	for _, test := range []struct {
		name     string
		consumer *fakeConsumer
		loaded   error
		code     int
		want     string
	}{
		{"down", &fakeConsumer{happens: []broker.Event{broker.Disconnected{Err: errors.New("connection refused")}}}, nil, supervisor.ExitBroker, "connection refused"},
		{"refused", &fakeConsumer{gaveUp: fmt.Errorf("%w: WRONGPASS", broker.ErrRefused)}, nil, supervisor.ExitBroker, "WRONGPASS"},
		{"gone between", &fakeConsumer{happens: []broker.Event{broker.Connected{}}, backlogErr: broker.ErrUnavailable}, nil, supervisor.ExitBroker, "broker unavailable"},
		{"no app", &fakeConsumer{}, errors.New("cannot load the app"), supervisor.ExitApp, "cannot load the app"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := hintsTrial(test.consumer, test.loaded)
			code := tr.do(t, "hints", "--once", "-A", "proj", "--timeout", "200ms")
			if code != test.code || tr.out.Len() > 0 || !strings.Contains(tr.err.String(), test.want) {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, tr.out.String(), tr.err.String())
			}
		})
	}
}

func TestHintsForABrokerWeCannotUseAreAMistakeOfTheUser(t *testing.T) {
	tr := hintsTrial(&fakeConsumer{}, nil)
	tr.openBroker = openBroker
	tr.loadInfo = func(context.Context, string, agent.Options, io.Writer) (agent.Info, error) {
		return agent.Info{Broker: agent.Broker{URLs: []string{"amqp://u:hunter2@h//"}}}, nil
	}
	if code := tr.do(t, "hints", "--once", "-A", "proj"); code != exitUsage || strings.Contains(tr.err.String(), "hunter2") {
		t.Errorf("exit code %d: %s", code, tr.err.String())
	}
}

func TestDevGivesTheWorkerABroker(t *testing.T) {
	tr := newTrial(nil)
	pong := ""
	tr.runWorker = func(ctx context.Context, cfg supervisor.Config, _ supervisor.Deps) (int, error) {
		tr.started = append(tr.started, cfg)
		opts, err := redis.ParseURL(cfg.Agent.Broker)
		if err != nil {
			return 1, err
		}
		client := redis.NewClient(opts)
		defer client.Close()
		pong, err = client.Ping(ctx).Result()
		return 0, err
	}
	if code := tr.do(t, "dev", "-A", "proj", "-c", "2"); code != 0 || pong != "PONG" {
		t.Fatalf("exit code %d, ping %q: %s", code, pong, tr.err.String())
	}
	cfg := tr.started[0]
	if cfg.Agent.App != "proj" || cfg.Concurrency != 2 || cfg.Agent.ResultBackend != cfg.Agent.Broker {
		t.Errorf("%+v", cfg.Agent)
	}
	for _, want := range []string{cfg.Agent.Broker, "http://" + cfg.HTTP + "/state", "crisper state --socket " + cfg.Socket} {
		if !strings.Contains(tr.out.String(), want) {
			t.Errorf("dev does not tell %q:\n%s", want, tr.out.String())
		}
	}
}

func TestDevWithoutAnAppRunsTheSample(t *testing.T) {
	t.Chdir(t.TempDir()) // dev goes into the sample's directory; the test comes back
	tr := newTrial(nil)
	files := 0
	tr.runWorker = func(_ context.Context, cfg supervisor.Config, _ supervisor.Deps) (int, error) {
		tr.started = append(tr.started, cfg)
		for _, name := range []string{"sample.py", "send.py"} {
			if exists(filepath.Join(cfg.Agent.Workdir, name)) {
				files++
			}
		}
		return 0, nil
	}
	// An interpreter that does nothing stands for the sender's.
	if code := tr.do(t, "dev", "--python", "/bin/true", "--http", "off"); code != 0 {
		t.Fatalf("exit code %d: %s", code, tr.err.String())
	}
	cfg := tr.started[0]
	if cfg.Agent.App != "sample" || files != 2 || cfg.Pool.MaxTasks == 0 || cfg.Pool.MaxMemory == 0 {
		t.Errorf("files %d, %+v", files, cfg)
	}
	if exists(cfg.Agent.Workdir) {
		t.Errorf("%s is left behind", cfg.Agent.Workdir)
	}
}
