package options

import (
	"errors"
	"fmt"
	"strings"

	"crisper/beat/app"
	"crisper/beat/leader"
	"crisper/beat/lease"
)

// beatShares are the rows of the worker's table that mean the same for the beat, some
// of them in other words.
var beatShares = map[string]string{
	"python": "", "log-format": "", "termination-log": "",
	"socket": "Admin socket for `crisper beat status` and `crisper state`; off: none.",
}

// Beat are all options of `crisper beat`.
func Beat() []Option {
	rows := Global()
	rows = append(rows, BeatOnly()...)
	for _, row := range Own() {
		if help, shared := beatShares[row.Name]; shared {
			if help != "" {
				row.Help = help
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// BeatOnly are the options that `crisper beat` does not share with a worker.
func BeatOnly() []Option { return append(celeryBeatRows(), own(electionRows())...) }

// celeryBeatRows are the options of `celery beat`. Celery: bin/beat.py and bin/base.py (5.7).
func celeryBeatRows() []Option {
	rows := []Option{
		{Name: "schedule", Short: "s", Metavar: "PATH", Who: Both, Key: "schedule", Default: "",
			Help: "Celery's schedule file, read once for entries that have no record yet; the local Lease and the local records are beside it.",
			Note: "Its name is beat_schedule_filename otherwise (celerybeat-schedule). It is never written: with Redis the records are in the broker, with RabbitMQ in a ConfigMap, or in PATH.records with --election=file. -S CLASS gets it as it is."},
		{Name: "scheduler", Short: "S", Metavar: "CLASS", Who: Both, Key: "scheduler",
			Help: "Scheduler class; any but Celery's own runs in `celery beat`, as a child of the leader."},
		{Name: "max-interval", Kind: Count, Metavar: "SECONDS", Who: Python, Key: "max_interval",
			Help: "Most seconds to sleep between looks at the schedule."},
		{Name: "loglevel", Short: "l", Kind: Level, Metavar: "LEVEL", Who: Both, Default: "WARNING", Key: "loglevel",
			Help: "DEBUG, INFO, WARNING, ERROR, CRITICAL or FATAL."},
		{Name: "hostname", Short: "n", Metavar: "NAME", Who: Harmless,
			Help: "Node name to answer remote control on.", Note: "Nothing answers remote control here; probes are at /livez and /readyz."},
		{Name: "enable-remote-control", Kind: Flag, Who: Refused, Help: "Answer `celery inspect ping`.",
			Note: "use the probes /livez and /readyz, which judge by the last turn of the beat as Celery's answer does"},
		{Name: "no-enable-remote-control", Kind: Flag, Who: Harmless, Help: "Do not answer `celery inspect ping`.",
			Note: "It is not answered in any case; beat_enable_remote_control is warned about."},
		{Name: "detach", Kind: Flag, Who: Refused, Help: "Run in the background.",
			Note: "the container runtime, systemd or `&` keeps it running; a process that leaves its parent cannot be stopped or restarted by them"},
	}
	for _, row := range daemonRows() {
		if row.Name != "detach" {
			rows = append(rows, row)
		}
	}
	for i := range rows {
		rows[i].Group = groupBeatCmd
		rows[i].Env = []string{"CELERY_BEAT_" + strings.ToUpper(strings.ReplaceAll(rows[i].Name, "-", "_"))}
	}
	return rows
}

func electionRows() []Option {
	rows := []Option{
		{Name: "election", Kind: Choice, Choices: []string{lease.Kubernetes, lease.File, lease.Redis}, Metavar: "HOW",
			Help: "Who leads is decided by a Lease in kubernetes, file or redis. [kubernetes in a pod, file elsewhere]"},
		{Name: "lease-name", Metavar: "NAME", Default: "",
			Help: "Name of the Lease, and of the schedule's records. [APP-beat]",
			Note: "Replicas of one schedule have the same, different schedules different ones: also on the broker the records go by it."},
		{Name: "lease-namespace", Metavar: "NAME", Help: "Namespace of the Lease. [the pod's]"},
		{Name: "kubeconfig", Metavar: "PATH", Help: "How to reach the API server from outside the cluster. [as a pod does]"},
		{Name: "election-url", Metavar: "URL", Help: "The Redis of --election=redis. [the broker's]"},
		{Name: "lease-duration", Kind: Duration, Metavar: "DURATION", Default: lease.DefaultLeaseDuration.String(),
			Help: "Another takes over when the leader has not renewed for so long; whole seconds."},
		{Name: "renew-deadline", Kind: Duration, Metavar: "DURATION", Default: lease.DefaultRenewDeadline.String(),
			Help: "The leader stops when it could not renew for so long; shorter."},
		{Name: "retry-period", Kind: Duration, Metavar: "DURATION", Default: lease.DefaultRetryPeriod.String(),
			Help: "Time between two looks at the Lease: how soon a TERM of the leader is noticed."},
		{Name: "election-timeout", Kind: Duration, Metavar: "DURATION", Default: "0",
			Help: "End with exit code 5 when the Lease could not be reached for so long; 0: wait for ever."},
		{Name: "catch-up-window", Kind: Duration, Metavar: "DURATION", Default: "1m",
			Help: "A gap up to so long is made up tick by tick; a longer one by one tick for each entry, as Celery does."},
		{Name: "reload-on-change", Kind: List, Metavar: "A,B",
			Help: "Load the app again when one of these files or folders has changed, for instance a mounted ConfigMap.",
			Note: "They are looked at every two seconds; a change counts when it stays for two looks. HUP does the same at once."},
		{Name: "http", Metavar: "ADDRESS", Default: ":9811",
			Help: "Serve /livez, /readyz, /startupz, /metrics and /state here, read-only; off: not at all."},
	}
	for i := range rows {
		rows[i].Group, rows[i].Who = groupElection, Crisper
	}
	return rows
}

// Preview are the options of `crisper beat preview` and status beside the global ones.
func Preview() []Option {
	var rows []Option
	for _, row := range Beat() {
		if row.Name == "python" || row.Name == "loglevel" {
			rows = append(rows, row)
		}
	}
	return rows
}

// BeatPlan is what the command line of beat means.
type BeatPlan struct {
	Plan     // of the process and its log
	Beat     leader.Config
	Election lease.Spec
	// ElectionURL is --election-url.
	ElectionURL string
	// Child are the arguments before and after the word beat for `celery beat`.
	Global, Child []string
}

// MakeBeat turns settings into a plan. extra are the arguments that are no options,
// dashed those after "--".
func MakeBeat(s Settings, extra, dashed []string, w World) (BeatPlan, error) {
	var problems []error
	for _, arg := range extra {
		if !strings.Contains(arg, "=") {
			problems = append(problems, fmt.Errorf("unexpected argument %q: settings are given as name=value", arg))
		}
	}
	if python, executable := s["python"], s["executable"]; python.Given && executable.Given && python.Text != executable.Text {
		problems = append(problems, errors.New("--python and --executable name different interpreters; --python is enough"))
	}
	plan := BeatPlan{
		Plan: Plan{
			Log:     Log{Level: s["loglevel"].count(), Format: s["log-format"].Text, File: s["logfile"].Text, NoColor: s["no-color"].flag(), Quiet: s["quiet"].flag()},
			Workdir: absolute(w.Workdir, s["workdir"].Text), Pidfile: s["pidfile"].Text, UID: s["uid"].Text, GID: s["gid"].Text, Umask: -1,
		},
		Election:    lease.Spec{Kind: s["election"].Text, Name: s["lease-name"].Text, Namespace: s["lease-namespace"].Text, Kubeconfig: s["kubeconfig"].Text},
		ElectionURL: s["election-url"].Text,
		Global:      arguments(s, Global()), Child: append(append(arguments(s, celeryBeatRows()), extra...), dashed...),
	}
	if s["umask"].Given {
		plan.Umask = s["umask"].count()
	}
	if plan.Election.Kind == "" {
		plan.Election.Kind = plan.Election.DefaultKind()
	}
	if s["election-url"].Given && plan.Election.Kind != lease.Redis {
		problems = append(problems, errors.New("--election-url belongs to --election=redis"))
	}
	plan.Beat = beatConfig(s, w)
	plan.Beat.App = beatApp(s, plan, append(extra, dashed...))
	return plan, errors.Join(append(problems, plan.Beat.Validate())...)
}

func beatConfig(s Settings, w World) leader.Config {
	cfg := leader.Config{
		CatchUp: s["catch-up-window"].duration(), Watch: s["reload-on-change"].list(),
		HTTP: s["http"].path(), Socket: s["socket"].path(), TerminationLog: terminationLog(s["termination-log"], w),
		Lease: lease.Options{
			LeaseDuration: s["lease-duration"].duration(), RenewDeadline: s["renew-deadline"].duration(),
			RetryPeriod: s["retry-period"].duration(), GiveUpAfter: s["election-timeout"].duration(),
		},
	}
	if !s["socket"].Given {
		cfg.Socket = w.Socket
	}
	return cfg
}

// beatApp is how Python loads the app.
func beatApp(s Settings, plan BeatPlan, extra []string) app.Options {
	python := s["python"].Text
	if python == "" {
		python = s["executable"].Text
	}
	given := map[string]any{}
	for _, setting := range s {
		if key := setting.Option.Key; key != "" && (setting.Given || key == "loglevel") {
			given[key] = setting.value()
		}
	}
	if s["no-color"].flag() {
		given["no_color"] = true
	}
	return app.Options{
		Python: python, App: s["app"].Text, Workdir: plan.Workdir, Config: s["config"].Text, Loader: s["loader"].Text,
		Broker: s["broker"].Text, ResultBackend: s["result-backend"].Text, SkipChecks: s["skip-checks"].flag(), Beat: given, Extra: extra,
	}
}
