package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"crisper/supervisor"
	"crisper/supervisor/agent"
)

func TestHelpPages(t *testing.T) {
	for name, args := range map[string][]string{
		"help.txt": nil, "help-worker.txt": {"worker", "--help"}, "help-hints.txt": {"hints", "--help"},
		"help-state.txt": {"state", "-h"}, "help-exec.txt": {"exec", "--help"}, "help-dev.txt": {"help", "dev"}, "help-config.txt": {"config"},
		"help-beat.txt": {"beat", "--help"}, "help-preview.txt": {"beat", "preview", "--help"},
	} {
		tr := newTrial(nil)
		if code := tr.do(t, args...); code != 0 {
			t.Errorf("%v: exit code %d: %s", args, code, tr.err.String())
		}
		golden(t, name, tr.out.String())
	}
}

func TestMistakesAreOneSentenceAndExitCode2(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"frob", "there is no command \"frob\"; `crisper --help` lists them"},
		{"frob --x", "there is no command \"frob\""},
		{"-A proj frob -x", "there is no command \"frob\""},
		{"-A proj inspect ping", "use `celery inspect`"},
		{"--frob", "No such option '--frob'. `crisper --help` lists the options"},
		{"state --frob", "No such option '--frob'. `crisper state --help` lists the options"},
		{"state -Z", "No such option '-Z'."},
		{"worker --frob", "no app is named"},
		{"worker -A", "the option 'A' in -A needs a value"},
		{"worker -A proj --queues", "the option --queues needs a value"},
		{"worker", "no app is named: give -A/--app, or set CELERY_APP"},
		{"worker -A proj -c many", "-c/--concurrency must be a whole number, 0 or more, or auto, not \"many\""},
		{"worker -A proj -P gevent --runtime native", "use --runtime=celery"},
		{"worker --explain", "no app is named"},
		{"worker -A proj -B", "-B/--beat is refused: run `crisper beat`"},
		{"worker -A proj -D", "-D/--detach is refused"},
		{"worker -A proj stray", "unexpected argument \"stray\""},
		{"worker -A proj --workdir /does/not/exist", "cannot change to --workdir"},
		{"state extra", "crisper state takes no argument"},
		{"drain extra", "crisper drain takes no argument"},
		{"version extra", "crisper version takes no argument"},
		{"hints -A proj", "needs --once"},
		{"hints --once", "no app is named"},
		{"simulate", "needs one script file"},
		{"config frob", "`crisper config check` is the one"},
		{"config check -c many -A proj", "-c/--concurrency must be"},
		{"reference frob", "configuration, compatibility, metrics and beat-metrics"},
	} {
		tr := newTrial(nil)
		code := tr.do(t, strings.Fields(test.args)...)
		said := tr.err.String()
		if code != supervisor.ExitUsage || !strings.Contains(said, test.want) {
			t.Errorf("crisper %s: exit code %d, said %q, want %q", test.args, code, said, test.want)
		}
		if strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "crisper: ") {
			t.Errorf("crisper %s: not one sentence: %q", test.args, said)
		}
		if len(tr.started) > 0 {
			t.Errorf("crisper %s: a worker was started", test.args)
		}
	}
}

func TestGlobalOptionsStandOnEitherSideOfTheCommand(t *testing.T) {
	for _, args := range []string{
		"worker -A proj -b redis://h/1 -c 3", "-A proj -b redis://h/1 worker -c 3", "-Aproj worker --broker=redis://h/1 -c3",
		"--app=proj worker --concurrency=3 -b redis://h/1", "-b redis://h/1 worker --concurrency 3 --app proj",
	} {
		tr := newTrial(nil)
		if code := tr.do(t, strings.Fields(args)...); code != 0 || len(tr.started) != 1 {
			t.Errorf("%s: exit code %d: %s", args, code, tr.err.String())
			continue
		}
		cfg := tr.started[0]
		if cfg.Agent.App != "proj" || cfg.Agent.Broker != "redis://h/1" || cfg.Concurrency != 3 {
			t.Errorf("%s: %+v", args, cfg)
		}
	}
}

func TestTheWorkersExitCodeIsTheProcess(t *testing.T) {
	for _, test := range []struct {
		exit int
		err  error
	}{{0, nil}, {supervisor.ExitChildren, errors.New("children cannot be started")}, {supervisor.ExitApp, errors.New("cannot load the app")}} {
		tr := newTrial(nil)
		tr.exitWith, tr.failWith = test.exit, test.err
		if code := tr.do(t, "worker", "-A", "proj"); code != test.exit {
			t.Errorf("exit code %d, want %d", code, test.exit)
		}
		if test.err != nil && !strings.Contains(tr.err.String(), test.err.Error()) {
			t.Errorf("not said: %v in %q", test.err, tr.err.String())
		}
	}
}

func TestPasswordsAreNotShownWhenThingsGoWrong(t *testing.T) {
	const url = "redis://user:hunter2@h/0"
	tr := newTrial(map[string]string{"BROKER_URL": url})
	tr.exitWith, tr.failWith = supervisor.ExitBroker, errors.New("cannot reach "+url)
	said := ""
	for _, args := range [][]string{
		{"worker", "-A", "proj", "--result-backend", url},
		{"worker", "-A", "proj", "-c", url},
		{"worker", "-A", "proj", url},
		{"config", "check", "-A", "proj", "broker_url=" + url},
		{"worker", "-A", "proj", "--nope=" + url},
	} {
		tr.do(t, args...)
		said += tr.out.String() + tr.err.String()
	}
	if strings.Contains(said, "hunter2") {
		t.Errorf("the password shows in:\n%s", said)
	}
	if !strings.Contains(said, "redis://**@h/0") {
		t.Errorf("the server does not show in:\n%s", said)
	}
}

func TestBrokersAreChosenByScheme(t *testing.T) {
	for url, want := range map[string]string{
		"amqp://guest:hunter2@h//":          `"amqp"`,
		"sqs://h":                           "`celery worker`",
		"memory://":                         `"memory"`,
		"redis://h/0;amqp://u:hunter2@h//":  "amqp",
		"redis":                             "no scheme",
		"valkey://h":                        "write redis://",
		"filesystem://x?password=hunter2":   "filesystem",
		"sqla+postgresql://u:hunter2@h/dbx": "sqla+postgresql",
	} {
		info := agent.Info{Broker: agent.Broker{URLs: strings.Split(url, ";")}}
		_, err := openBroker(info, "w", zap.NewNop())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
		if exitCode(err) != supervisor.ExitUsage {
			t.Errorf("%s: exit code %d", url, exitCode(err))
		}
	}
	if _, err := openBroker(agent.Info{}, "w", zap.NewNop()); err == nil || !strings.Contains(err.Error(), "names no broker") {
		t.Errorf("without a broker: %v", err)
	}
}

func TestVersionIsTold(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		tr := newTrial(nil)
		if code := tr.do(t, args...); code != 0 || !strings.HasPrefix(tr.out.String(), "crisper "+version()) {
			t.Errorf("%v: %d %q", args, code, tr.out.String())
		}
	}
}

func TestACeleryconfigStandsForAnApp(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "celeryconfig.py"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir()) // --workdir changes it, and the test changes it back
	for _, env := range []map[string]string{{"CELERY_CONFIG_MODULE": "x"}, {"CONFIG_MODULE": "x"}, {"CELERY_WORKDIR": dir}} {
		tr := newTrial(env)
		if code := tr.do(t, "worker"); code != 0 {
			t.Errorf("%v: %s", env, tr.err.String())
		}
	}
}

func TestWarningsReachTheLog(t *testing.T) {
	tr := newTrial(map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
	tr.do(t, "worker", "-A", "proj", "--log-format", "console")
	for _, want := range []string{"WARNING/MainProcess] ", "CRISPER_GRACE"} {
		if !strings.Contains(tr.err.String(), want) {
			t.Errorf("not logged: %q in %q", want, tr.err.String())
		}
	}
}

func TestSimulatePlaysAScript(t *testing.T) {
	path := filepath.Join(t.TempDir(), "script.txt")
	if err := os.WriteFile(path, []byte("config slots=1\nopened\ngeneration 1 ready\n+20ms up 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tr := newTrial(nil)
	if code := tr.do(t, "simulate", path); code != 0 || !strings.Contains(tr.out.String(), "starting -> ready") {
		t.Errorf("exit code %d: %s%s", code, tr.out.String(), tr.err.String())
	}
	if code := tr.do(t, "simulate", path+".not"); code != supervisor.ExitFailure || !strings.Contains(tr.err.String(), "cannot open the script") {
		t.Errorf("exit code %d: %s", code, tr.err.String())
	}
}

func TestConfigCheckTellsWhereEachValueCameFrom(t *testing.T) {
	tr := newTrial(map[string]string{"CRISPER_GRACE": "30", "CELERY_WORKER_LOGLEVEL": "info"})
	if code := tr.do(t, "config", "check", "-A", "proj", "-c", "4"); code != 0 {
		t.Fatalf("exit code %d: %s", code, tr.err.String())
	}
	lines := map[string][]string{}
	for line := range strings.Lines(tr.out.String()) {
		if f := strings.Fields(line); len(f) > 2 {
			lines[f[0]] = f[1:]
		}
	}
	for name, want := range map[string]string{
		"--app": "proj command line", "--grace": "30 environment CRISPER_GRACE", "--loglevel": "info environment CELERY_WORKER_LOGLEVEL",
		"--concurrency": "4 command line", "--time-limit": "- the app", "--depth": "64 default",
	} {
		if got := strings.Join(lines[name], " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestTheExitCodePageNamesEveryCode(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, code := range map[string]int{
		"ExitOK": supervisor.ExitOK, "ExitFailure": supervisor.ExitFailure, "ExitUsage": supervisor.ExitUsage,
		"ExitChildren": supervisor.ExitChildren, "ExitApp": supervisor.ExitApp, "ExitBroker": supervisor.ExitBroker,
		"ExitPidfile": supervisor.ExitPidfile,
	} {
		if row := fmt.Sprintf("| %d | `%s` |", code, name); !strings.Contains(string(page), row) {
			t.Errorf("exit-codes.md lacks %q", row)
		}
	}
}
