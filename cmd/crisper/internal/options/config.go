package options

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"crisper/supervisor"
	"crisper/supervisor/agent"
	"crisper/supervisor/pool"
)

// World is what the mapping must know of the machine.
type World struct {
	// Socket is the default of --socket.
	Socket string
	// CPUs is what --concurrency=auto means.
	CPUs int
	// OOMScoreAdj is the supervisor's own.
	OOMScoreAdj int
	// Workdir makes --workdir absolute.
	Workdir string
	// Exists tells whether a file is there (for the default of --termination-log).
	Exists func(path string) bool
	// Kubernetes: we are in a pod.
	Kubernetes bool
	// Getenv reads the environment; nil: it is empty.
	Getenv func(name string) string
}

// Plan is what a command line means.
type Plan struct {
	Config supervisor.Config
	Log    Log
	// What is done to our own process before anything else.
	Workdir, Pidfile, UID, GID string
	Umask                      int // -1: as it is
	// Warnings are sentences for the log at start.
	Warnings []string
}

// Log says where and how to log.
type Log struct {
	Level   int // Python's number
	Format  string
	File    string
	NoColor bool
	Quiet   bool
}

// Make turns settings into a plan. extra are the arguments that are no options,
// dashed those after "--". The error joins all problems.
func Make(s Settings, extra, dashed []string, w World) (Plan, error) {
	problems := relations(s)
	if runtime, why := Decided(s); runtime != "" {
		problems = append(problems, ForRuntime(s, runtime, why)...)
	}
	for _, arg := range extra {
		if !strings.Contains(arg, "=") {
			problems = append(problems, fmt.Errorf("unexpected argument %q: settings are given as name=value", arg))
		}
	}
	plan := Plan{
		Config: config(s, w),
		Log: Log{
			Level: s["loglevel"].count(), Format: s["log-format"].Text, File: s["logfile"].Text,
			NoColor: s["no-color"].flag(), Quiet: s["quiet"].flag(),
		},
		Workdir: absolute(w.Workdir, s["workdir"].Text), Pidfile: s["pidfile"].Text,
		UID: s["uid"].Text, GID: s["gid"].Text, Umask: -1,
		Warnings: warnings(s, w),
	}
	if s["umask"].Given {
		plan.Umask = s["umask"].count()
	}
	if w.Getenv != nil {
		problems = append(problems, fromEnvironment(&plan.Config, w.Getenv)...)
	}
	plan.Config.Agent = agentOptions(s, plan, append(extra, dashed...))
	return plan, errors.Join(problems...)
}

func config(s Settings, w World) supervisor.Config {
	cfg := supervisor.Config{
		Python:             s["python"].Text,
		Concurrency:        concurrency(s, w),
		PrefetchMultiplier: -1,
		DisablePrefetch:    s["disable-prefetch"].flag(),
		TimeLimit:          s["time-limit"].duration(),
		SoftTimeLimit:      s["soft-time-limit"].duration(),
		Pool:               poolConfig(s),
		PoisonLimit:        s["poison-limit"].count(),
		Grace:              s["grace"].duration(),
		GraceMargin:        graceMargin(s["grace"].duration()),
		OnCutoff:           s["on-cutoff"].Text,
		HTTP:               s["http"].path(),
		Socket:             s["socket"].path(),
		StuckAfter:         s["stuck-after"].duration(),
		TerminationLog:     terminationLog(s["termination-log"], w),
		Depth:              s["depth"].count(),
		Purge:              s["purge"].flag(),
	}
	if cfg.Python == "" {
		cfg.Python = s["executable"].Text
	}
	if !s["socket"].Given {
		cfg.Socket = w.Socket
	}
	// Celery: `value or conf.worker_prefetch_multiplier` (bin/worker.py, 5.7).
	if n := s["prefetch-multiplier"].count(); n > 0 {
		cfg.PrefetchMultiplier = n
	}
	if bounds, ok := s["autoscale"].value().([2]int); ok && s["autoscale"].Given {
		cfg.AutoscaleMax, cfg.AutoscaleMin = bounds[0], bounds[1]
	}
	if extra := s["oom-score-adj"].count(); extra > 0 {
		cfg.OOMScoreAdj = min(1000, w.OOMScoreAdj+extra)
	}
	return cfg
}

func poolConfig(s Settings) pool.Config {
	cfg := pool.Defaults(0)
	cfg.Surge = s["surge"].count()
	cfg.MaxTasks = s["max-tasks-per-child"].count()
	cfg.MaxMemory = s["max-memory-per-child"].bytes()
	cfg.MemoryKill = s["memory-kill-per-child"].bytes()
	cfg.MaxAge = s["max-age-per-child"].duration()
	cfg.Jitter = s["jitter"].fraction()
	cfg.StartTimeout = s["start-timeout"].duration()
	cfg.GuardSoft = s["guard-soft"].fraction()
	cfg.GuardHard = s["guard-hard"].fraction()
	return cfg
}

// concurrency is 0 when the app decides. solo is a pool of one.
func concurrency(s Settings, w World) int {
	if s["pool"].Text == "solo" {
		return 1
	}
	if n := s["concurrency"].count(); n != Auto {
		return n
	}
	return w.CPUs
}

// graceMargin is what is kept at the end of the grace for settling and leaving.
func graceMargin(grace time.Duration) time.Duration {
	if grace == 0 {
		return 0
	}
	return min(max(grace/10, 500*time.Millisecond), 3*time.Second, grace/2)
}

// terminationLog: outside Kubernetes the default file does not exist, and must
// not be made.
func terminationLog(setting Setting, w World) string {
	path := setting.path()
	if !setting.Given && !w.Exists(path) {
		return ""
	}
	return path
}

func absolute(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func agentOptions(s Settings, plan Plan, extra []string) agent.Options {
	return agent.Options{
		App: s["app"].Text, Workdir: plan.Workdir, Config: s["config"].Text, Loader: s["loader"].Text,
		Broker: s["broker"].Text, ResultBackend: s["result-backend"].Text, SkipChecks: s["skip-checks"].flag(),
		Hostname: given(s["hostname"]),
		Worker:   workerArguments(s, plan.Config.Concurrency),
		Extra:    extra,
		Threads:  s["preload-threads"].Text,
	}
}

func given(s Setting) string {
	if s.Given {
		return s.Text
	}
	return ""
}

// workerArguments are the options that WorkController takes, by its names. Only
// what was given is passed on (but loglevel, whose default is the command's), so
// that the app's configuration decides about the rest.
func workerArguments(s Settings, concurrency int) map[string]any {
	arguments := map[string]any{}
	for _, setting := range s {
		key := setting.Option.Key
		if key == "" || !setting.Given && key != "loglevel" {
			continue
		}
		switch value := setting.value().(type) {
		case time.Duration:
			arguments[key] = value.Seconds()
		case int64:
			arguments[key] = value >> 10 // KiB
		default:
			arguments[key] = value
		}
	}
	// Celery reads 0 as "not given" for these two.
	for _, key := range []string{"concurrency", "prefetch_multiplier"} {
		if arguments[key] == 0 {
			delete(arguments, key)
		}
	}
	if arguments["pool"] == "processes" {
		arguments["pool"] = "prefork"
	}
	if concurrency > 0 {
		arguments["concurrency"] = concurrency
	}
	return arguments
}
