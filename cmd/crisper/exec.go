package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"crisper/cmd/crisper/internal/early"
	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor/celery"
	"crisper/supervisor/command/runner"
)

func (p *program) execCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "exec [OPTIONS] [--] CMD [ARGS ...]", DisableFlagsInUseLine: true,
		Short: "Run any command as PID 1: signals, grace, memory, orphans, probes.",
		Long: `Runs any command as the only child of PID 1: passes signals on, reaps orphans, ends everything within the grace period,
takes one process for want of memory before the kernel takes the container, keeps the exit status and says why it ended.

  crisper exec -- python job.py
  crisper exec --grace 30 --pre-stop-delay 5s -- uvicorn proj:app
  crisper exec --stop-signal QUIT -- nginx -g 'daemon off;'
  crisper exec --children 2 --max-tasks-per-child 1000 -- celery -A proj worker -c 8

Nothing is injected, except into ` + "`celery worker`" + ` (see --agent): the command has our stdin, stdout, stderr and environment, with
PYTHONUNBUFFERED=1 unless that is set.
TERM again: hurry. TERM a third time: KILL. Exit code: the command's; 128+n for signal n; 126 and 127 when it cannot be run.
With options of a pool a Celery worker is run as by ` + "`crisper worker --runtime=celery`" + `, with its signals and exit codes.`,
		Annotations: map[string]string{rowsOf: "exec"},
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := p.execPlan(cmd, args)
			if err != nil {
				return err
			}
			return p.exec(cmd.Context(), plan)
		},
	}
	options.Add(cmd.Flags(), execFlags())
	cmd.Flags().SetInterspersed(false) // what follows CMD is CMD's
	return cmd
}

// execFlags leaves out what is a flag of the root already.
func execFlags() []options.Option {
	global := map[string]bool{}
	for _, row := range options.Global() {
		global[row.Name] = true
	}
	var rows []options.Option
	for _, row := range options.Exec() {
		if !global[row.Name] {
			rows = append(rows, row)
		}
	}
	return rows
}

func (p *program) execPlan(cmd *cobra.Command, args []string) (options.ExecPlan, error) {
	if len(args) == 0 {
		return options.ExecPlan{}, usageError("no command is named: crisper exec [OPTIONS] -- CMD [ARGS ...]")
	}
	settings, problems := options.Resolve(cmd.Flags(), options.Exec(), p.getenv)
	problems = append(problems, foreign(cmd.Flags())...)
	plan, err := options.MakeExec(settings, args, world(p.getenv))
	if err = errors.Join(append(problems, err)...); err != nil {
		return plan, exitError{exitUsage, err}
	}
	return plan, nil
}

// foreign are options of the app that stand before the command and would be lost.
func foreign(flags *pflag.FlagSet) (problems []error) {
	shared := map[string]bool{}
	for _, row := range options.Exec() {
		shared[row.Name] = true
	}
	for _, row := range options.Global() {
		if flag := flags.Lookup(row.Name); flag != nil && flag.Changed && !shared[row.Name] {
			problems = append(problems, usageError("%s is no option of exec: write it behind the command", row.Spelling()))
		}
	}
	return problems
}

// exec runs a command in this process's place until it ends.
func (p *program) exec(ctx context.Context, plan options.ExecPlan) error {
	log, closeLog, err := p.logger(options.Plan{Log: plan.Log})
	if err != nil {
		return err
	}
	defer closeLog()
	beSmall()
	signals := early.Signals()
	defer early.Stop()
	if plan.Workers != nil {
		return p.execPool(ctx, plan, log, signals)
	}
	deps := runner.Deps{Log: log, Signals: signals, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: version()}
	if plan.Celery {
		log.Info("the command is a Celery worker: the agent goes into it (--agent=off: it does not)")
		plan.Care.OpenKeeper = openKeeper(log)
		deps.Guest = celery.NewAttendant(plan.Care, log, filepath.Base(plan.Config.Args[0]))
	}
	exit, why, err := p.runCommand(ctx, plan.Config, deps)
	if err != nil {
		return exitError{exitUsage, err}
	}
	if why != "" {
		log.Error("the command ended", zap.String("why", options.Redact(why)), zap.Int("exit_code", exit))
	}
	p.exit = exit
	return nil
}

// beSmall: one thread of Go is enough to watch one command, and the memory and the
// processors are the command's.
func beSmall() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
