package options

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"crisper/supervisor/celery"
	"crisper/supervisor/pool"
)

// makeExec does with options and a command what the exec command does.
func makeExec(t *testing.T, env map[string]string, options []string, command ...string) (ExecPlan, error) {
	t.Helper()
	flags := pflag.NewFlagSet("exec", pflag.ContinueOnError)
	Add(flags, Exec())
	if err := flags.Parse(options); err != nil {
		t.Fatal(err)
	}
	world := plainWorld
	world.Getenv = func(name string) string { return env[name] }
	settings, problems := Resolve(flags, Exec(), world.Getenv)
	plan, err := MakeExec(settings, command, world)
	return plan, errors.Join(append(problems, err)...)
}

const aWorker = "celery -A proj worker -c 8 -Q a"

func TestACeleryWorkerIsSeatedInAPoolWhereOneIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		env     map[string]string
		options string
		why     string // "": it is run once
	}{
		{},
		{options: "--grace 30 --hang-timeout 5s --guard-hard 0.9"},
		{options: "--children 1", why: "--children 1"},
		{options: "--children 2 --max-tasks-per-child 9", why: "--children 2; --max-tasks-per-child 9"},
		{options: "--max-tasks-per-child 9", why: "--max-tasks-per-child 9"},
		{options: "--max-memory-per-child 1Gi", why: "--max-memory-per-child 1Gi"},
		{options: "--max-age-per-child 1h", why: "--max-age-per-child 1h"},
		{options: "--surge 0", why: "--surge 0"},
		{options: "--jitter 0", why: "--jitter 0"},
		{options: "--start-timeout 5m", why: "--start-timeout 5m"},
		{env: map[string]string{"CRISPER_CHILDREN": "3"}, why: "CRISPER_CHILDREN=3"},
		{env: map[string]string{"CRISPER_MAX_TASKS_PER_CHILD": "9"}, why: "CRISPER_MAX_TASKS_PER_CHILD=9"},
		{env: map[string]string{"CRISPER_MAX_MEMORY_PER_CHILD": "9"}, why: "CRISPER_MAX_MEMORY_PER_CHILD=9"},
		// These are for the native workers of the same environment.
		{env: map[string]string{"CRISPER_MAX_AGE_PER_CHILD": "1h", "CRISPER_JITTER": "0", "CRISPER_SURGE": "0", "CRISPER_START_TIMEOUT": "9s"}},
		// Celery reads these itself, for its own processes.
		{env: map[string]string{"CELERY_WORKER_MAX_TASKS_PER_CHILD": "9", "CELERY_WORKER_MAX_MEMORY_PER_CHILD": "9"}},
	} {
		plan, err := makeExec(t, c.env, strings.Fields(c.options), strings.Fields(aWorker)...)
		if err != nil || (plan.Workers != nil) != (c.why != "") || strings.Join(plan.Why, "; ") != c.why {
			t.Errorf("%v %q: pool %t because %q, %v", c.env, c.options, plan.Workers != nil, plan.Why, err)
		}
	}
}

func TestTheOptionsBeforeTheCommandAreThoseOfWholeWorkers(t *testing.T) {
	env := map[string]string{"CRISPER_MAX_AGE_PER_CHILD": "1h", "CELERY_WORKER_MAX_TASKS_PER_CHILD": "3"}
	line := "--children 3 --max-tasks-per-child 100 --max-memory-per-child 300Mi --jitter 0 --surge 2 --start-timeout 90 --guard-soft 0.5 --guard-hard 0.6 " +
		"--grace 30 --hang-timeout 9s --poison-limit 4 --http off --oom-score-adj 7"
	plan, err := makeExec(t, env, strings.Fields(line), strings.Fields("python -m celery -A proj worker -n mail@pod --max-tasks-per-child=7")...)
	if err != nil {
		t.Fatal(err)
	}
	seats := pool.Defaults(3)
	seats.MaxTasks, seats.MaxMemory, seats.MaxAge, seats.Jitter, seats.Surge = 100, 300<<20, time.Hour, 0, 2
	seats.StartTimeout, seats.GuardSoft, seats.GuardHard = 90*time.Second, 0.5, 0.6
	want := &celery.Config{
		Command: celery.Command{Before: strings.Fields("python -m celery -A proj worker"), After: []string{"--max-tasks-per-child=7"}},
		App:     "proj", Hostname: "mail@pod", Pool: seats, Care: celery.Care{HangTimeout: 9 * time.Second, PoisonLimit: 4},
		Grace: 30 * time.Second, Margin: 5 * time.Second, Socket: "/run/x.sock", OOMScoreAdj: 107,
	}
	if diff := cmp.Diff(want, plan.Workers); diff != "" {
		t.Error(diff)
	}
}

func TestANodeNameAndAnAppMayComeFromTheEnvironment(t *testing.T) {
	env := map[string]string{"CELERY_APP": "proj", "CELERY_WORKER_HOSTNAME": "mail@%h"}
	for command, want := range map[string]string{
		"celery worker": "proj mail@%h", "celery -A other worker -n x@y": "other x@y",
	} {
		plan, err := makeExec(t, env, []string{"--children", "2"}, strings.Fields(command)...)
		if err != nil || plan.Workers.App+" "+plan.Workers.Hostname != want {
			t.Errorf("%s: %+v, %v", command, plan.Workers, err)
		}
	}
	plan, err := makeExec(t, nil, []string{"--children", "2"}, "celery", "worker")
	if err != nil || plan.Workers.App != "celery" || plan.Workers.Hostname != "celery@%h" {
		t.Errorf("without: %+v, %v", plan.Workers, err)
	}
}

func TestWhatAPoolCannotHaveIsRefusedByName(t *testing.T) {
	for _, c := range []struct {
		options, command, want string
		env                    map[string]string
	}{
		{options: "--children 2", command: "uvicorn proj:app", want: "--children 2 is for Celery workers: the command must be `celery … worker` or `python -m celery … worker` itself, not uvicorn"},
		{options: "--surge 0", command: "/bin/sh -c celery", want: "--surge 0 is for Celery workers: the command must be `celery … worker` or `python -m celery … worker` itself, not sh"},
		{options: "--children 2", command: "celery -A proj beat", want: "is for Celery workers"},
		{env: map[string]string{"CRISPER_CHILDREN": "2"}, command: "job", want: "CRISPER_CHILDREN=2 is for Celery workers"},
		{options: "--children 2", command: aWorker + " --detach", want: "-D/--detach is refused with --children 2, which asks for a pool of whole workers: the container runtime"},
		{options: "--children 2", command: aWorker + " -B", want: "-B/--beat is refused with --children 2, which asks for a pool of whole workers: run `crisper beat` beside"},
		{options: "--max-age-per-child 1h", command: aWorker + " -S x", want: "-S/--statedb x is refused with --max-age-per-child 1h"},
		{options: "--children 2", command: aWorker + " --purge", want: "--purge is refused with --children 2"},
		{options: "--children 2", command: aWorker + " --pidfile=/run/w.pid", want: "--pidfile /run/w.pid is refused"},
		{options: "--children 2", command: aWorker, env: map[string]string{"CELERY_WORKER_BEAT": "1"}, want: "CELERY_WORKER_BEAT=1 is refused"},
		{options: "--children 2 --stop-signal QUIT", command: aWorker, want: "--stop-signal QUIT is refused with --children 2"},
		{options: "--children 2 --pre-stop-delay 5s", command: aWorker, want: "--pre-stop-delay 5s is refused with --children 2"},
		{options: "--children 2 --memory-limit-per-child 5", command: aWorker, want: "--max-memory-per-child replaces a worker"},
		{options: "--children 2 --memory-action command", command: aWorker, want: "--memory-action command is refused"},
		{options: "--children 2 --agent off", command: aWorker, want: "--agent off is refused"},
		{options: "--children 0", command: aWorker, want: "--children must be at least 1"},
		{options: "--children two", command: aWorker, want: "--children must be a whole number, 0 or more, not \"two\""},
		{options: "--children 2 --guard-soft 0.9 --guard-hard 0.5", command: aWorker, want: "--guard-soft (0.9) must be below --guard-hard (0.5)"},
		{options: "--children 2 --start-timeout 0", command: aWorker, want: "--start-timeout must be above 0"},
	} {
		_, err := makeExec(t, c.env, strings.Fields(c.options), strings.Fields(c.command)...)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v crisper exec %s -- %s: %v, want one sentence with %q", c.env, c.options, c.command, err, c.want)
		}
	}
}

func TestWhatSaysNothingElseThanAPoolDoesIsNoReasonToRefuse(t *testing.T) {
	for _, c := range []struct {
		options, command string
		env              map[string]string
	}{
		{"--children 2 --stop-signal SIGTERM --pre-stop-delay 0s --memory-limit-per-child 0 --memory-action fattest --agent auto", aWorker, nil},
		{"--children 2", aWorker + " --pidfile=/run/%n.pid -f /var/log/w.log --uid 1000 --autoscale 4,1 -P gevent --their-own 3", nil},
		{"--children 2", aWorker, map[string]string{"CELERY_WORKER_BEAT": "0", "CELERY_WORKER_STATEDB": ""}},
		{"", "uvicorn proj:app", map[string]string{"CRISPER_SURGE": "0", "CRISPER_MAX_AGE_PER_CHILD": "1h"}},
		// Run once, the command is Celery's own affair.
		{"", aWorker + " -B -S x --pidfile w.pid --purge", nil},
	} {
		if _, err := makeExec(t, c.env, strings.Fields(c.options), strings.Fields(c.command)...); err != nil {
			t.Errorf("%v crisper exec %s -- %s: %v", c.env, c.options, c.command, err)
		}
	}
}
