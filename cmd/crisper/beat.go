package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"crisper/beat/app"
	"crisper/beat/leader"
	"crisper/beat/lease"
	"crisper/broker"
	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
	"crisper/supervisor/reaper"
)

func (p *program) beatCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "beat -A APP [OPTIONS] [NAME=VALUE ...]", DisableFlagsInUseLine: true,
		Short: "Send an app's periodic tasks; any number of replicas, one leads.",
		Long: `Sends a Celery app's periodic tasks: the drop-in for ` + "`celery beat`" + `, of which as many replicas may run as you like. One leads; when
it goes another takes over, no tick is missed and none sent twice.

  crisper beat -A proj                                          # on one machine: a lock file decides who leads
  crisper beat -A proj --election=kubernetes --lease-name=proj-beat
  crisper beat preview -A proj --from 2026-03-29T00:00 --until 2026-03-30T00:00
  crisper beat status

TERM or INT: hand over at once and leave. HUP: load the app again. USR1: dump the state.`,
		Annotations: map[string]string{rowsOf: "beat"},
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := p.beatPlan(cmd, args)
			if err != nil {
				return err
			}
			return p.beat(cmd.Context(), plan)
		},
	}
	addBeatFlags(cmd)
	cmd.AddCommand(p.previewCommand(), p.statusCommand())
	return cmd
}

// addBeatFlags leaves out what is a flag of the root already.
func addBeatFlags(cmd *cobra.Command) {
	options.Add(cmd.Flags(), notGlobal(options.Beat()))
}

func notGlobal(all []options.Option) []options.Option {
	global := map[string]bool{}
	for _, row := range options.Global() {
		global[row.Name] = true
	}
	var rows []options.Option
	for _, row := range all {
		if !global[row.Name] {
			rows = append(rows, row)
		}
	}
	return rows
}

// beatPlan reads everything that a beat was told, and reports all problems at once.
func (p *program) beatPlan(cmd *cobra.Command, args []string) (options.BeatPlan, error) {
	settings, problems := options.Resolve(cmd.Flags(), options.Beat(), p.getenv)
	words, dashed := splitAtDash(cmd, args)
	plan, err := options.MakeBeat(settings, words, dashed, world(p.getenv))
	if err = errors.Join(append(problems, err)...); err != nil {
		return plan, exitError{exitUsage, err}
	}
	return plan, requireApp(settings, p.getenv)
}

// beat runs one replica until it ends.
func (p *program) beat(ctx context.Context, plan options.BeatPlan) error {
	release, err := prepare(plan.Plan)
	if err != nil {
		return err
	}
	defer release()
	if _, err := findPython(plan.Beat.App.Python); err != nil {
		return exitError{exitUsage, err}
	}
	log, closeLog, err := p.logger(plan.Plan)
	if err != nil {
		return err
	}
	defer closeLog()
	p.greetBeat(plan)
	signals, stop := listenSignals()
	defer stop()

	reap := reaper.New(log)
	reaping, stopReaping := context.WithCancel(context.WithoutCancel(ctx))
	reaped := make(chan error, 1) // its end is waited for below
	go func() { reaped <- reap.Run(reaping) }()
	defer func() { stopReaping(); <-reaped }()

	plan.Beat.App.Stdout, plan.Beat.App.Stderr = os.Stdout, os.Stderr
	plan.Beat.App.Starter = reap
	site := siteOf{plan: plan, log: log}
	err = p.runBeat(ctx, plan.Beat, leader.Deps{
		Log: log, Signals: signals, Version: version(), Stdout: p.stdout, Open: site.open,
		NewChild: func(info app.Info, why string) (leader.Child, error) {
			return newCeleryBeat(plan, info, why, reap, log)
		},
	})
	if err == nil {
		return nil
	}
	p.exit = beatExit(err)
	log.DPanic("beat ends", zap.String("error", options.Redact(err.Error())), zap.Int("exit_code", p.exit))
	return nil
}

// beatExit is the exit code of a beat that could not go on.
func beatExit(err error) int {
	var own exitError
	var failed *app.LoadError
	var refused *lease.Refusal
	var gaveUp *lease.GaveUp
	switch {
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &failed):
		return supervisor.ExitApp
	case errors.As(err, &refused), errors.As(err, &gaveUp), errors.Is(err, broker.ErrRefused), errors.Is(err, broker.ErrUnavailable):
		return supervisor.ExitBroker
	}
	return supervisor.ExitFailure
}

func (p *program) greetBeat(plan options.BeatPlan) {
	if plan.Log.Quiet || !isTerminal(p.stdout) {
		return
	}
	http := plan.Beat.HTTP
	if http == "" {
		http = "off"
	}
	fmt.Fprintf(p.stdout, "crisper %s: beat for %s, election by %s, http %s, pid %d\n", version(), plan.Beat.App.App, plan.Election.Kind, http, os.Getpid())
}
