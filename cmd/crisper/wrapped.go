package main

import (
	"context"

	"go.uber.org/zap"

	"crisper/cmd/crisper/internal/options"
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
	return w.runCelery(ctx, cfg, celeryDeps(w.log, w.signals))
}
