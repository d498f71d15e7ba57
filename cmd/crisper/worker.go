package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"crisper/cmd/crisper/internal/compat"
	"crisper/cmd/crisper/internal/logs"
	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
	"crisper/supervisor/agent"
)

func (p *program) workerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "worker -A APP [OPTIONS] [NAME=VALUE ...]", DisableFlagsInUseLine: true,
		Short: "Run a Celery app's tasks; the drop-in for `celery worker`.",
		Long: `Runs a Celery app's tasks: the drop-in for ` + "`celery worker`" + `, with the same options.

  crisper worker -A proj -Q default,emails -c 8
  crisper worker -A proj --autoscale=10,2 --max-tasks-per-child=1000
  CRISPER_GRACE=30 crisper worker -A proj        # in a pod: the same as terminationGracePeriodSeconds
  crisper worker -A proj -P gevent --explain     # which runtime, and what becomes of every option and setting

TERM or INT once: take nothing more, leave when the last task ends (or the grace does). Twice: hurry. QUIT: leave now.
HUP: load the app again without cutting a task. USR1: dump the state. The exit code says why it left.`,
		Annotations: map[string]string{rowsOf: "worker", takesUserOptions: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if explain, _ := cmd.Flags().GetBool("explain"); explain {
				return p.explain(cmd, args)
			}
			settings, plan, err := p.plan(cmd, args)
			if err == nil {
				err = requireApp(settings, p.getenv)
			}
			if err != nil {
				return err
			}
			return p.work(cmd.Context(), settings, plan)
		},
	}
	cmd.Flags().Bool("explain", false, "Print the runtime, what becomes of every option and setting, and why; start nothing.")
	addWorkerFlags(cmd)
	return cmd
}

func addWorkerFlags(cmd *cobra.Command) {
	options.Add(cmd.Flags(), append(options.Worker(), options.Own()...))
}

// plan reads everything that a worker was told, and reports all problems at once.
func (p *program) plan(cmd *cobra.Command, args []string, prefer ...preference) (options.Settings, options.Plan, error) {
	settings, problems := options.Resolve(cmd.Flags(), options.All(), p.getenv)
	for _, want := range prefer {
		settings.Prefer(want.name, want.text, want.why)
	}
	words, dashed := splitAtDash(cmd, args)
	plan, err := options.Make(settings, words, dashed, world(p.getenv))
	if err = errors.Join(append(problems, err)...); err != nil {
		return settings, plan, exitError{supervisor.ExitUsage, err}
	}
	return settings, plan, nil
}

// preference is a default that a command has instead of the table's.
type preference struct{ name, text, why string }

func splitAtDash(cmd *cobra.Command, args []string) (before, after []string) {
	if at := cmd.ArgsLenAtDash(); at >= 0 {
		return args[:at], args[at:]
	}
	return args, nil
}

// requireApp: Celery falls back to a default app, configured by celeryconfig.py
// or by the environment; without any of these it would be an empty worker that
// waits for ever at a broker nobody named.
func requireApp(settings options.Settings, getenv func(string) string) error {
	if settings["app"].Text != "" || settings["config"].Text != "" || settings["loader"].Text != "" ||
		getenv("CELERY_CONFIG_MODULE") != "" || getenv("CELERY_LOADER") != "" {
		return nil
	}
	if exists(join(settings["workdir"].Text, "celeryconfig.py")) {
		return nil
	}
	return usageError("no app is named: give -A/--app, or set CELERY_APP")
}

// work runs a worker in this process until it ends.
func (p *program) work(ctx context.Context, settings options.Settings, plan options.Plan) error {
	w, leave, err := p.enter(settings, plan)
	if err != nil {
		return err
	}
	defer leave()
	exit := 0
	runtime, why := options.Decided(settings)
	if runtime == "celery" {
		exit, err = w.wrapped(ctx, why)
	} else {
		exit, err = w.natively(ctx)
	}
	if errors.As(err, new(agent.NoSuchOption)) {
		return err // as any other mistake in what was typed
	}
	p.workerEnds(w.log, exit, err)
	return nil
}

// workerEnds says why, if there is anything to say, and with which code.
func (p *program) workerEnds(log *zap.Logger, exit int, err error) {
	if err != nil {
		// DPanic is our CRITICAL; it does not panic outside zap's development mode.
		log.DPanic("worker ends", zap.String("error", options.Redact(err.Error())), zap.Int("exit_code", exit))
	}
	p.exit = exit
}

// worker is one run of a worker, by either runtime.
type worker struct {
	*program
	settings options.Settings
	plan     options.Plan
	log      *zap.Logger
	signals  <-chan os.Signal
	// soft is worker_soft_shutdown_timeout, once the app has told it.
	soft atomic.Int64
}

// enter does to our process what was asked for; leave undoes it.
func (p *program) enter(settings options.Settings, plan options.Plan) (*worker, func(), error) {
	release, err := prepare(plan)
	if err != nil {
		return nil, nil, err
	}
	log, closeLog, err := p.logger(plan)
	if err != nil {
		release()
		return nil, nil, err
	}
	p.greet(plan)
	for _, warning := range plan.Warnings {
		log.Warn(warning)
	}
	w := &worker{program: p, settings: settings, plan: plan, log: log}
	signals, deaf := listenSignals()
	var stop func()
	w.signals, stop = p.remapped(signals, &w.soft, log)
	return w, func() { stop(); deaf(); closeLog(); release() }, nil
}

// remapped are the signals as REMAP_SIGTERM has them. Children must not take our TERM
// for a QUIT: they do not get the variable.
func (p *program) remapped(signals <-chan os.Signal, soft *atomic.Int64, log *zap.Logger) (<-chan os.Signal, func()) {
	const name = "REMAP_SIGTERM"
	remap := p.getenv(name)
	_ = os.Unsetenv(name)
	return relay(signals, remap == "SIGQUIT", soft, log)
}

// natively runs the tasks itself, unless the app turns out to need Celery's worker.
func (w *worker) natively(ctx context.Context) (int, error) {
	var verdict compat.Verdict
	exit, err := w.runWorker(ctx, w.plan.Config, supervisor.Deps{
		Log: w.log, Stderr: w.stderr, Signals: w.signals, OpenBroker: w.openBroker, Version: version(),
		Judge: func(info agent.Info) error {
			verdict = compat.Judge(w.settings, info, w.getenv)
			return w.obey(verdict, info)
		},
		JudgeAgain: func(info agent.Info) error { return w.obeyAgain(compat.Judge(w.settings, info, w.getenv), info) },
	})
	if errors.Is(err, supervisor.ErrElsewhere) {
		return w.wrapped(ctx, verdict.Reasons)
	}
	return exit, err
}

// obey acts on a verdict as far as the native runtime is concerned.
func (w *worker) obey(verdict compat.Verdict, info agent.Info) error {
	seconds := conf(info, "worker_soft_shutdown_timeout", 0.0)
	w.soft.Store(int64(seconds * float64(time.Second)))
	for _, warning := range verdict.Warnings {
		w.log.Warn(warning)
	}
	if verdict.Refused != nil {
		return verdict.Refused
	}
	if verdict.Runtime == "celery" {
		return supervisor.ErrElsewhere
	}
	w.log.Info("runtime", zap.String("runtime", verdict.Runtime), zap.Strings("reasons", verdict.Reasons))
	return nil
}

// obeyAgain acts on a verdict about an app that was loaded again: the other runtime
// cannot take over from one that works.
func (w *worker) obeyAgain(verdict compat.Verdict, info agent.Info) error {
	if verdict.Refused == nil && verdict.Runtime == "celery" {
		return fmt.Errorf("it needs Celery's own worker by now, --runtime=celery: %s", strings.Join(verdict.Reasons, "; "))
	}
	return w.obey(verdict, info)
}

// greet says on a terminal what starts; logs begin at WARNING by default, and an
// empty screen is a riddle.
func (p *program) greet(plan options.Plan) {
	if plan.Log.Quiet || !isTerminal(p.stdout) {
		return
	}
	http := plan.Config.HTTP
	if http == "" {
		http = "off"
	}
	fmt.Fprintf(p.stdout, "crisper %s: worker for %s, http %s, pid %d\n", version(), plan.Config.Agent.App, http, os.Getpid())
}

func (p *program) logger(plan options.Plan) (*zap.Logger, func(), error) {
	opts := logs.Options{Format: plan.Log.Format, Level: plan.Log.Level}
	if plan.Log.File != "" {
		file, err := logs.OpenFile(expandNode(plan.Log.File, plan.Config.Agent.Hostname))
		if err != nil {
			return nil, nil, err
		}
		return logs.New(file, opts), func() { _ = file.Close() }, nil
	}
	opts.Terminal = isTerminal(p.stderr)
	opts.Color = opts.Terminal && !plan.Log.NoColor
	return logs.New(p.stderr, opts), func() {}, nil
}
