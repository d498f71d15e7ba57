package main

import (
	"context"
	"os"

	"go.uber.org/zap"

	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
	"crisper/supervisor/celery"
)

// wrap runs whole Celery workers until it is told to leave.
func (p *program) wrap(ctx context.Context, plan options.Plan, cfg celery.Config) error {
	release, err := prepare(plan)
	if err != nil {
		return err
	}
	defer release()
	log, closeLog, err := p.logger(plan)
	if err != nil {
		return err
	}
	defer closeLog()
	for _, warning := range plan.Warnings {
		log.Warn(warning)
	}
	signals, stop := listenSignals()
	defer stop()
	beSmall()
	exit, err := p.runCelery(ctx, cfg, celery.Deps{
		Log: log, Signals: signals, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: version(),
		ExitUsage: supervisor.ExitUsage, ExitFailure: supervisor.ExitFailure, ExitChildren: supervisor.ExitChildren,
	})
	if err != nil {
		log.DPanic("worker ends", zap.String("error", options.Redact(err.Error())), zap.Int("exit_code", exit))
	}
	p.exit = exit
	return nil
}
