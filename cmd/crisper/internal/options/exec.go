package options

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"crisper/supervisor/celery"
	"crisper/supervisor/command"
	"crisper/supervisor/command/runner"
)

// ExecOnly are the options that `crisper exec` has and a worker has not.
func ExecOnly() []Option {
	return own([]Option{
		{Name: "stop-signal", Metavar: "SIGNAL", Group: groupExec, Who: Crisper, Default: "TERM",
			Help: "What the command gets for TERM, by name or number.",
			Note: "All other signals are passed on as they are."},
		{Name: "pre-stop-delay", Kind: Duration, Metavar: "DURATION", Group: groupExec, Who: Crisper, Default: "0",
			Help: "How long after TERM the command gets it; /readyz fails at once.",
			Note: "For web servers: requests arrive until the last endpoint has forgotten the pod. It is part of --grace."},
		{Name: "memory-limit-per-child", Kind: Memory, Metavar: "KIB", Group: groupExec, Who: Crisper, Default: "0",
			Help: "End a process, or the command, when all its processes together have more memory than this; 0: never.",
			Note: "In KiB or with a unit (800Mi). Pages that processes share are counted once. TERM first, KILL five seconds later."},
		{Name: "agent", Kind: Choice, Choices: []string{"auto", "off"}, Metavar: "WHEN", Group: groupExec, Who: Crisper, Default: "auto",
			Help: "auto: put the agent into a command that is `celery worker`; off: into none.",
			Note: "Recognised are `celery … worker` and `python -m celery … worker`, without --detach."},
		{Name: "memory-action", Kind: Choice, Choices: []string{string(command.Fattest), string(command.Whole)}, Metavar: "WHO", Group: groupExec, Who: Crisper, Default: string(command.Fattest),
			Help: "Whom to end for memory (--memory-limit-per-child, --guard-hard): fattest (process of the tree) or command.",
			Note: "If the command's own process is the fattest, it is the command in either case. Its exit code is then never 0."},
	})
}

// execShares are the rows of the worker's table that mean the same for any command,
// some of them in other words.
var execShares = map[string]string{
	"no-color": "", "log-format": "", "termination-log": "", "http": "",
	"loglevel":      "What crisper itself says: DEBUG, INFO, WARNING, ERROR, CRITICAL or FATAL.",
	"grace":         "How long after TERM everything has to be gone; 0: wait for ever.",
	"guard-soft":    "Above this part of the pod's memory limit: one line in the log (in a pool: the fattest worker is replaced); 0: off.",
	"guard-hard":    "Above this part: --memory-action, by KILL, before the kernel takes the pod (in a pool: the fattest worker is killed); 0: off.",
	"oom-score-adj": "The command's oom_score_adj is ours plus this, so that the kernel takes it first; 0: the same.",
	"hang-timeout":  "End a `celery worker` (in a pool: replace it) that takes nothing for so long although messages wait and it has room; 0: never.",
	"poison-limit":  "Put a message aside after it killed N `celery worker`s; 0: never.",
	"socket":        "Admin socket for `crisper state` and `crisper drain`; off: none.",
}

// Exec are all options of `crisper exec`.
func Exec() []Option {
	rows := append(ExecOnly(), ExecPool()...)
	for _, row := range All() {
		if help, shared := execShares[row.Name]; shared {
			if help != "" {
				row.Help = help
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// ExecPlan is what the command line of exec means.
type ExecPlan struct {
	Config runner.Config
	Log    Log
	// Celery: the command is a Celery worker that gets the agent.
	Celery bool
	Care   celery.Care
	// Workers: the command is not run once, but seated in a pool; nil: it is run once.
	Workers *celery.Config
	// Why is what asks for the pool.
	Why []string
}

// MakeExec turns settings into a plan for the command line args.
func MakeExec(s Settings, args []string, w World) (ExecPlan, error) {
	sig, err := readSignal(s["stop-signal"].Text)
	cfg := command.Defaults(filepath.Base(args[0]))
	if err == nil {
		cfg.StopSignal = sig
	}
	cfg.PreStopDelay = s["pre-stop-delay"].duration()
	cfg.Grace = s["grace"].duration()
	cfg.Margin = graceMargin(cfg.Grace)
	cfg.MemoryLimit = s["memory-limit-per-child"].bytes()
	cfg.MemoryAction = command.Policy(s["memory-action"].Text)
	cfg.GuardSoft, cfg.GuardHard = s["guard-soft"].fraction(), s["guard-hard"].fraction()
	plan := ExecPlan{
		Config: runner.Config{
			Args: args, Command: cfg, HTTP: s["http"].path(), Socket: s["socket"].path(),
			TerminationLog: terminationLog(s["termination-log"], w),
		},
		Log: Log{Level: s["loglevel"].count(), Format: s["log-format"].Text, NoColor: s["no-color"].flag()},
	}
	line, recognised := readCelery(args)
	plan.Celery = s["agent"].Text == "auto" && recognised && line.given["detach"] == ""
	plan.Care = celery.Care{HangTimeout: s["hang-timeout"].duration(), PoisonLimit: s["poison-limit"].count()}
	if !s["socket"].Given {
		plan.Config.Socket = w.Socket
	}
	if extra := s["oom-score-adj"].count(); extra > 0 {
		plan.Config.OOMScoreAdj = min(1000, w.OOMScoreAdj+extra)
	}
	asked := poolAsked(s)
	if len(asked) == 0 {
		return plan, errors.Join(err, cfg.Validate())
	}
	own := line.settings(w.Getenv)
	if problems := poolProblems(s, asked, args, line, recognised, own); len(problems) > 0 {
		return plan, errors.Join(append(problems, err)...)
	}
	for _, setting := range asked {
		plan.Why = append(plan.Why, setting.said())
	}
	plan.Workers = execWorkers(s, args, line, own, plan)
	return plan, err
}

// readSignal takes TERM, SIGTERM and 15.
func readSignal(text string) (syscall.Signal, error) {
	upper := strings.ToUpper(strings.TrimSpace(text))
	if sig := unix.SignalNum("SIG" + strings.TrimPrefix(upper, "SIG")); sig != 0 {
		return sig, notKill(sig)
	}
	if n, err := readCount(upper); err == nil && n > 0 && unix.SignalName(syscall.Signal(n)) != "" {
		return syscall.Signal(n), notKill(syscall.Signal(n))
	}
	return 0, fmt.Errorf("--stop-signal must be a signal such as TERM, SIGQUIT or 3, not %q", text)
}

func notKill(sig syscall.Signal) error {
	if sig == syscall.SIGKILL || sig == syscall.SIGSTOP {
		return errors.New("--stop-signal must be a signal that a command can act upon, not KILL or STOP")
	}
	return nil
}
