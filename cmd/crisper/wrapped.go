package main

import (
	"context"
	"os"

	"go.uber.org/zap"

	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
	"crisper/supervisor/celery"
)

// wrapped runs whole Celery workers until it is told to leave. The line that says
// why is a warning where nobody asked for them: it has to be seen at the default level.
func (w *worker) wrapped(ctx context.Context, why []string) (int, error) {
	say := w.log.Warn
	if w.settings["runtime"].Text == "celery" {
		say = w.log.Info
	}
	say("whole Celery workers run this app", zap.String("runtime", "celery"), zap.Strings("reasons", why))
	beSmall()
	cfg := options.Wrapped(w.settings, w.plan)
	cfg.OpenKeeper = openKeeper(w.log)
	return w.runCelery(ctx, cfg, celery.Deps{
		Log: w.log, Signals: w.signals, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: version(),
		ExitUsage: supervisor.ExitUsage, ExitFailure: supervisor.ExitFailure, ExitChildren: supervisor.ExitChildren,
	})
}
