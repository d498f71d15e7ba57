package options

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"crisper/supervisor/celery"
)

// execPoolWords are the rows of the worker's table with which `crisper exec` seats
// Celery workers in a pool. They mean what they mean with --runtime=celery; some are
// said in other words, because native workers do not come into it.
var execPoolWords = []struct{ name, help, note string }{
	{"children", "Run this Celery worker in a pool, N of it side by side.",
		"Each option of this table asks for a pool when it stands before the command, and so do $CRISPER_CHILDREN, $CRISPER_MAX_TASKS_PER_CHILD and $CRISPER_MAX_MEMORY_PER_CHILD; the other variables say only how a pool is. Without any of these the command is run once."},
	{"max-tasks-per-child", "Replace a worker after N tasks; the next one is ready first; 0: never.",
		"For the whole worker. Behind the command the option is Celery's, for its single processes, and so is $CELERY_WORKER_MAX_TASKS_PER_CHILD."},
	{"max-memory-per-child", "Replace a worker whose processes together have more private memory than this; 0: never.",
		"In KiB or with a unit (800Mi). Behind the command the option is Celery's, for its single processes."},
	{"max-age-per-child", "Replace a worker that is older; 0: never.", "It finishes what it runs."},
	{"jitter", "", ""},
	{"surge", "How many workers more than --children may live while one is replaced.",
		"0 saves their memory, and nobody is there for as long as a worker takes to start."},
	{"start-timeout", "How long a worker may take to be ready.", ""},
}

// ExecPool are the options of a pool of `crisper exec -- celery … worker`.
func ExecPool() []Option {
	var rows []Option
	for _, words := range execPoolWords {
		for _, row := range All() {
			if row.Name != words.name {
				continue
			}
			if words.help != "" {
				row.Help, row.Note = words.help, words.note
			}
			if row.Default == "" {
				row.Default = "0" // there is no app that would say something else
			}
			row.Group, row.Who, row.Key = groupExecPool, Crisper, ""
			rows = append(rows, row)
		}
	}
	return own(rows)
}

// ofAnyWorker are options whose variables native workers in the same environment
// have, too: these do not ask for a pool, and keep no other command from running.
var ofAnyWorker = map[string]bool{"max-age-per-child": true, "jitter": true, "surge": true, "start-timeout": true}

// poolAsked are the settings that ask for a pool; none: the command is run once.
func poolAsked(s Settings) (asked []Setting) {
	for _, row := range ExecPool() {
		setting := s[row.Name]
		if setting.Given && (setting.Source == "command line" || !ofAnyWorker[row.Name]) {
			asked = append(asked, setting)
		}
	}
	return asked
}

// notPooled are the options of exec that are about one command.
var notPooled = []struct{ name, why string }{
	{"stop-signal", "each worker is told to leave by TERM, which is Celery's warm shutdown, and at the end of the grace by QUIT"},
	{"pre-stop-delay", "workers take messages by themselves, and no endpoint has to forget them"},
	{"memory-limit-per-child", "it ends single processes of one command; --max-memory-per-child replaces a worker that has grown"},
	{"memory-action", "above --guard-soft the fattest worker is replaced, above --guard-hard it is killed"},
	{"agent", "the agent tells when a worker is ready and how many tasks it has run"},
}

// poolProblems are the reasons why a command cannot be seated in the pool that was
// asked for.
func poolProblems(s Settings, asked []Setting, args []string, line celeryLine, recognised bool, own Settings) []error {
	if !recognised {
		return []error{fmt.Errorf("%s is for Celery workers: the command must be `celery … worker` or `python -m celery … worker` itself, not %s",
			asked[0].said(), filepath.Base(args[0]))}
	}
	var problems []error
	refuse := func(setting Setting, why string) {
		problems = append(problems, fmt.Errorf("%s is refused with %s, which asks for a pool of whole workers: %s", setting.said(), asked[0].said(), why))
	}
	for _, row := range notPooled {
		if setting := s[row.name]; setting.Given && !setting.saysDefault() {
			refuse(setting, row.why)
		}
	}
	for _, row := range append(Global(), Worker()...) {
		setting := own[row.Name]
		if !setting.meant() {
			continue
		}
		if who, why := FateOf(setting, "celery"); who == Refused {
			refuse(setting, why)
		}
	}
	if file := own["pidfile"]; file.Given && !strings.Contains(file.Text, "%n") && !strings.Contains(file.Text, "%p") {
		refuse(file, "a worker that takes the place of another would find that one's pid in it; leave it out, or name it by %n, which each has of its own")
	}
	if n, ok := s["children"].value().(int); ok && n < 1 { // what is no number has been told
		problems = append(problems, errors.New("--children must be at least 1"))
	}
	return append(problems, poolRelations(s)...)
}

// saysDefault: the value is that which the option has anyway, in whatever spelling.
func (s Setting) saysDefault() bool {
	if s.Option.Name == "stop-signal" {
		given, err := readSignal(s.Text)
		standard, _ := readSignal(s.Option.Default)
		return err == nil && given == standard
	}
	standard, _ := s.Option.read(s.Option.Default)
	return s.value() == standard
}

// execWorkers is the configuration of a pool of the workers that a command line is.
func execWorkers(s Settings, args []string, line celeryLine, own Settings, plan ExecPlan) *celery.Config {
	run := plan.Config
	out := &celery.Config{
		Command: celery.Command{Before: line.before, After: line.after},
		App:     own["app"].Text, Hostname: own["hostname"].Text, Pool: poolConfig(s), Care: plan.Care,
		Grace: run.Command.Grace, Margin: wrappedMargin(run.Command.Grace),
		HTTP: run.HTTP, Socket: run.Socket, TerminationLog: run.TerminationLog, OOMScoreAdj: run.OOMScoreAdj,
	}
	out.Pool.Slots = s["children"].count()
	if out.App == "" {
		out.App = filepath.Base(args[0])
	}
	return out
}
