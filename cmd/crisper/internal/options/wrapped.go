package options

import (
	"slices"
	"strings"
	"time"

	"crisper/supervisor/celery"
)

// keptBack are Celery's options that are honoured here and not passed on: the
// limits per child count for whole workers, and the rest was done to ourselves.
var keptBack = []string{
	"hostname", "workdir", "pidfile", "uid", "gid", "umask", "executable", "max-tasks-per-child", "max-memory-per-child",
}

// Wrapped is the configuration of --runtime=celery.
func Wrapped(s Settings, plan Plan) celery.Config {
	c := plan.Config
	c.Pool.Slots = s["children"].count()
	out := celery.Config{
		Python: c.Python, App: s["app"].Text, Hostname: s["hostname"].Text, Pool: c.Pool, Grace: c.Grace, Margin: wrappedMargin(c.Grace),
		HTTP: c.HTTP, Socket: c.Socket, TerminationLog: c.TerminationLog, OOMScoreAdj: c.OOMScoreAdj,
		Care:   celery.Care{HangTimeout: s["hang-timeout"].duration(), PoisonLimit: s["poison-limit"].count()},
		Global: arguments(s, Global()), Worker: append(arguments(s, Worker()), c.Agent.Extra...),
	}
	return out
}

// wrappedMargin is longer than for executors: a worker's cold shutdown takes a
// second or two.
func wrappedMargin(grace time.Duration) time.Duration {
	return min(max(grace/5, time.Second), 5*time.Second, grace/2)
}

// arguments repeats what was given, on the command line or by the command itself
// (dev). What came by the environment reaches the worker in the same way.
func arguments(s Settings, rows []Option) (line []string) {
	for _, row := range rows {
		setting := s[row.Name]
		switch {
		case slices.Contains(keptBack, row.Name) || !setting.Given || strings.HasPrefix(setting.Source, "environment "):
		case row.Kind != Flag:
			line = append(line, "--"+row.Name+"="+setting.Text)
		case setting.flag():
			line = append(line, "--"+row.Name)
		}
	}
	return line
}
