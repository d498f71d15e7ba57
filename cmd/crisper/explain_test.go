package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"crisper/broker"
	"crisper/supervisor"
	"crisper/supervisor/agent"
)

func sampleInfo() agent.Info {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	return agent.Info{
		Python: "3.11.7", Celery: "5.7.0", AppName: "proj", Hostname: "celery@pod", Tasks: map[string]agent.Task{"proj.add": {}},
		Broker: agent.Broker{URLs: []string{"redis://:hunter2@h/0"}}, Queues: []broker.Queue{{Name: "celery"}},
		Changed: []string{"broker_url", "redis_password", "result_backend", "task_always_eager", "worker_soft_shutdown_timeout"},
		Conf: map[string]json.RawMessage{
			"broker_url": raw(`"redis://:hunter2@h/0"`), "redis_password": raw(`"hunter2"`), "result_backend": raw(`"redis://:hunter2@h/1"`),
			"task_always_eager": raw(`true`), "worker_soft_shutdown_timeout": raw(`20.0`),
		},
		Misspelt: map[string]string{"worker_concurency": "worker_concurrency"},
	}
}

// loads gives a trial an app.
func (tr *trial) loads(info agent.Info, err error) *trial {
	tr.loadInfo = func(_ context.Context, _ string, opts agent.Options, _ io.Writer) (agent.Info, error) {
		if opts.Only != "info" {
			panic("the app is to be loaded and no more")
		}
		return info, err
	}
	return tr
}

func TestExplainTellsWhatWouldBeDoneAndStartsNothing(t *testing.T) {
	custom := sampleInfo()
	custom.Changed = append(custom.Changed, "worker_agent")
	custom.Conf["worker_agent"] = json.RawMessage(`"proj:Agent"`)
	custom.Needs = []string{"the app adds consumer bootsteps: proj:Step", "the broker transport is amqp"}
	uid := sampleInfo()
	uid.Changed, uid.Conf["worker_uid"] = append(uid.Changed, "worker_uid"), json.RawMessage(`"nobody"`)
	for _, test := range []struct {
		name, args string
		info       agent.Info
		err        error
		exit       int
	}{
		{"native", "-c 4 -O fair x=y", sampleInfo(), nil, 0},
		{"celery", "--grace 30 -E", custom, nil, 0},
		{"forced", "--runtime native", custom, nil, supervisor.ExitUsage},
		{"gevent", "-P gevent --depth 3", sampleInfo(), nil, supervisor.ExitUsage},
		{"refused", "-D -B --children 2", uid, nil, supervisor.ExitUsage},
		{"broken", "-c 2", agent.Info{}, errors.New("cannot load the app: ValueError: no"), supervisor.ExitApp},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := newTrial(map[string]string{"CRISPER_JITTER": "0"}).loads(test.info, test.err)
			args := append([]string{"worker", "--explain", "-A", "proj"}, strings.Fields(test.args)...)
			if code := tr.do(t, args...); code != test.exit || len(tr.started)+len(tr.wrapped) > 0 {
				t.Errorf("exit code %d, started %d: %s", code, len(tr.started)+len(tr.wrapped), tr.err.String())
			}
			golden(t, "explain-"+test.name+".json", tr.out.String())
			var e explanation
			if err := json.Unmarshal(tr.out.Bytes(), &e); err != nil || e.ExitCode != test.exit {
				t.Errorf("it says exit code %d, %v", e.ExitCode, err)
			}
			var table strings.Builder
			writeExplanation(&table, e, painter(false))
			golden(t, "explain-"+test.name+".txt", table.String())
			if all := tr.out.String() + tr.err.String(); strings.Contains(all, "hunter2") {
				t.Error("the password shows")
			}
		})
	}
}

// judged lets the native runtime load an app, and tells what it was told.
func (tr *trial) judged(info agent.Info) *error {
	var said error
	run := tr.runWorker
	tr.runWorker = func(ctx context.Context, cfg supervisor.Config, deps supervisor.Deps) (int, error) {
		_, _ = run(ctx, cfg, deps)
		if said = deps.Judge(info); said != nil {
			return supervisor.ExitUsage, said
		}
		return 0, nil
	}
	return &said
}

func TestAutoTakesTheRuntimeThatTheAppNeeds(t *testing.T) {
	amqp := sampleInfo()
	amqp.Needs = []string{"the broker transport is amqp"}
	for _, test := range []struct {
		name, args string
		info       agent.Info
		wrapped    bool
		exit       int
		says       string
	}{
		{"nothing special: native", "", sampleInfo(), false, 0, "Celery has no setting worker_concurency"},
		{"RabbitMQ: whole workers", "--children 2", amqp, true, 0, `"reasons":["the broker transport is amqp"]`},
		{"RabbitMQ natively: refused", "--runtime native", amqp, false, 2, "cannot run this app natively: the broker transport is amqp"},
		{"what whole workers cannot have", "--depth 2", amqp, false, 2, "--depth 2 is refused with --runtime=celery, which is needed because the broker transport is amqp"},
		{"what the native runtime cannot have", "--children 2", sampleInfo(), false, 2, "--children 2 is refused with --runtime=native"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := newTrial(nil)
			tr.judged(test.info)
			code := tr.do(t, append([]string{"worker", "-A", "proj"}, strings.Fields(test.args)...)...)
			if code != test.exit || (len(tr.wrapped) > 0) != test.wrapped {
				t.Errorf("exit code %d, whole workers %d", code, len(tr.wrapped))
			}
			if !strings.Contains(tr.err.String(), test.says) {
				t.Errorf("not said: %q in %s", test.says, tr.err.String())
			}
		})
	}
}

func TestTheCommandLineAloneDecidesWhereItCan(t *testing.T) {
	tr := newTrial(nil)
	if code := tr.do(t, "worker", "-A", "proj", "-P", "gevent"); code != 0 || len(tr.started) > 0 || len(tr.wrapped) != 1 {
		t.Errorf("exit code %d, loaded %d, whole workers %d: %s", code, len(tr.started), len(tr.wrapped), tr.err.String())
	}
	if !strings.Contains(tr.err.String(), "-P/--pool says gevent") {
		t.Errorf("the log does not say why: %s", tr.err.String())
	}
}
