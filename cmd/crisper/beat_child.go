package main

import (
	"os"

	"go.uber.org/zap"

	"crisper/beat/app"
	"crisper/beat/child"
	"crisper/beat/leader"
	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor/agent"
)

// newCeleryBeat is `celery beat` with the options that were given, for the leader.
func newCeleryBeat(plan options.BeatPlan, info app.Info, why string, starter agent.Starter, log *zap.Logger) (leader.Child, error) {
	log.Info("celery beat is kept ready", zap.String("why", why), zap.String("scheduler", info.Scheduler))
	o := plan.Beat.App
	args := append(append([]string{}, plan.Global...), "beat")
	return child.New(child.Config{
		Python: o.Python, App: o.App, Args: append(args, plan.Child...), Set: celeryEnvironment(o),
		Stdout: os.Stdout, Stderr: os.Stderr, Starter: starter, Log: log,
	})
}

// celeryEnvironment is what the celery command sets for these options before it looks
// for the app. Celery: bin/celery.py (5.7).
func celeryEnvironment(o app.Options) map[string]string {
	set := map[string]string{}
	if o.Loader != "" {
		set["CELERY_LOADER"] = o.Loader
	}
	if o.Config != "" {
		set["CELERY_CONFIG_MODULE"] = o.Config
	}
	if o.SkipChecks {
		set["CELERY_SKIP_CHECKS"] = "true"
	}
	return set
}
