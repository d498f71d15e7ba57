package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"crisper/beat/app"
	"crisper/beat/leader"
	"crisper/supervisor"
	"crisper/supervisor/agent"
	"crisper/supervisor/celery"
	"crisper/supervisor/command/runner"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trial is one invocation with a supervisor that only takes notes.
type trial struct {
	program
	out, err bytes.Buffer
	env      map[string]string
	started  []supervisor.Config // what the supervisor was asked to run
	executed []runner.Config     // what exec was asked to run
	why      string
	wrapped  []celery.Config // what --runtime=celery was asked to run
	beats    []leader.Config // what the beat was asked to run
	beatDeps leader.Deps
	beatApp  beatApp // what an app has for beat preview and status
	loaded   []app.Options
	deps     supervisor.Deps
	exitWith int
	failWith error
}

func newTrial(env map[string]string) *trial {
	t := &trial{env: env}
	t.program = program{
		getenv: func(name string) string { return t.env[name] },
		stdout: &t.out, stderr: &t.err,
		runWorker: func(_ context.Context, cfg supervisor.Config, deps supervisor.Deps) (int, error) {
			t.started, t.deps = append(t.started, cfg), deps
			return t.exitWith, t.failWith
		},
		runCommand: func(_ context.Context, cfg runner.Config, _ runner.Deps) (int, string, error) {
			t.executed = append(t.executed, cfg)
			return t.exitWith, t.why, t.failWith
		},
		runCelery: func(_ context.Context, cfg celery.Config, _ celery.Deps) (int, error) {
			t.wrapped = append(t.wrapped, cfg)
			return t.exitWith, t.failWith
		},
		runBeat: func(_ context.Context, cfg leader.Config, deps leader.Deps) error {
			t.beats, t.beatDeps = append(t.beats, cfg), deps
			return t.failWith
		},
		startBeat: func(_ context.Context, opts app.Options) (beatApp, error) {
			t.loaded = append(t.loaded, opts)
			return t.beatApp, t.failWith
		},
		loadInfo: func(context.Context, string, agent.Options, io.Writer) (agent.Info, error) {
			panic("no app is to be loaded")
		},
		openBroker: openBroker,
	}
	return t
}

func (tr *trial) do(t *testing.T, args ...string) int {
	t.Helper()
	tr.out.Reset()
	tr.err.Reset()
	return tr.execute(t.Context(), args)
}

// golden compares with testdata/<name>; -rewrite updates it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (go test ./cmd/crisper -rewrite, if it is right so):\n%s", path, diff)
	}
}
