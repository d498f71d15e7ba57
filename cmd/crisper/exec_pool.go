package main

import (
	"context"
	"errors"
	"os"
	"sync/atomic"

	"go.uber.org/zap"

	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
	"crisper/supervisor/celery"
	"crisper/supervisor/command/runner"
	"crisper/supervisor/process"
)

// execPool runs a command that is a Celery worker as the children of a pool, as
// `crisper worker --runtime=celery` does with its own.
func (p *program) execPool(ctx context.Context, plan options.ExecPlan, log *zap.Logger, caught <-chan os.Signal) error {
	cfg := *plan.Workers
	name := cfg.Command.Before[0]
	path, err := runner.Find(name)
	if err != nil {
		code, why := runner.ShellCode(name, err)
		process.TerminationMessage(cfg.TerminationLog, "crisper exec: "+why)
		return exitError{code, errors.New(why)}
	}
	cfg.Command.Path = path
	cfg.OpenKeeper = openKeeper(log)
	log.Info("whole Celery workers run this command", zap.String("runtime", "celery"), zap.Strings("reasons", plan.Why))
	signals, stop := p.remapped(caught, new(atomic.Int64), log)
	defer stop()
	exit, err := p.runCelery(ctx, cfg, celeryDeps(log, signals))
	p.workerEnds(log, exit, err)
	return nil
}

// celeryDeps is what every pool of whole workers gets.
func celeryDeps(log *zap.Logger, signals <-chan os.Signal) celery.Deps {
	return celery.Deps{
		Log: log, Signals: signals, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: version(),
		ExitUsage: supervisor.ExitUsage, ExitFailure: supervisor.ExitFailure, ExitChildren: supervisor.ExitChildren,
	}
}
