package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"crisper/beat/app"
	"crisper/beat/leader"
	"crisper/broker"
	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
	"crisper/supervisor/agent"
	"crisper/supervisor/celery"
	"crisper/supervisor/command/runner"
)

// program is one invocation and what it touches of the world. Tests replace the
// functions; everything else is real.
type program struct {
	getenv         func(string) string
	stdout, stderr io.Writer
	// runWorker is the supervisor.
	runWorker func(context.Context, supervisor.Config, supervisor.Deps) (int, error)
	// runCommand is what exec does.
	runCommand func(context.Context, runner.Config, runner.Deps) (exit int, why string, err error)
	// runCelery is the worker with --runtime=celery.
	runCelery func(context.Context, celery.Config, celery.Deps) (int, error)
	// runBeat is one replica of the beat.
	runBeat func(context.Context, leader.Config, leader.Deps) error
	// startBeat asks the app for its entries.
	startBeat func(context.Context, app.Options) (beatApp, error)
	// loadInfo asks the app about itself, without running it.
	loadInfo func(ctx context.Context, python string, opts agent.Options, stderr io.Writer) (agent.Info, error)
	// openBroker is where the client of a broker is chosen.
	openBroker openBrokerFunc
	// exit is the code that a command ended with, if it did not fail.
	exit int
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	p := &program{
		getenv: getenv, stdout: stdout, stderr: stderr,
		runWorker: supervisor.Run, runCommand: runner.Run, runCelery: celery.Run, runBeat: leader.Run, startBeat: startBeat, loadInfo: loadInfo, openBroker: openBroker,
	}
	return p.execute(ctx, args)
}

func (p *program) execute(ctx context.Context, args []string) int {
	root := p.root(args)
	if cmd, _, err := root.Find(args); err == nil && cmd.Annotations[takesUserOptions] != "" {
		args = forTheApp(args, allFlags(cmd))
	}
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args to cobra
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return p.exit
	}
	if cmd, _, found := root.Find(args); found == nil {
		err = cmp.Or(unknownToApp(cmd, err), err)
	}
	fmt.Fprintf(p.stderr, "crisper: %s\n", options.Redact(err.Error()))
	return exitCode(err)
}

// exitError is an error that decides about the exit code.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

// exitUsage is short for the code that most of this package's errors have.
const exitUsage = supervisor.ExitUsage

func usageError(format string, args ...any) error {
	return exitError{exitUsage, fmt.Errorf(format, args...)}
}

// coded gives err a code, unless it has one.
func coded(code int, err error) error {
	if errors.As(err, new(exitError)) {
		return err
	}
	return exitError{code, err}
}

func exitCode(err error) int {
	var own exitError
	switch {
	case errors.As(err, &own):
		return own.code
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, broker.ErrRefused):
		return supervisor.ExitBroker
	}
	return supervisor.ExitFailure
}

func (p *program) root(args []string) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "crisper",
		Short: "Keeps Celery fresh: runs Celery apps, unchanged, in pods and on laptops.",
		// We print errors ourselves: one sentence, without the usage.
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, words []string) error {
			switch {
			case len(words) > 0:
				return unknownCommand(words[0])
			case version:
				p.printVersion()
				return nil
			}
			return cmd.Help()
		},
	}
	options.Add(root.PersistentFlags(), options.Global())
	root.Flags().BoolVar(&version, "version", false, "Show the version.")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if word := firstWord(args); cmd == root && word != "" {
			return unknownCommand(word)
		}
		if name := unknownFlag(err); name != "" {
			return usageError("%s `%s --help` lists the options", noSuchOption(name, spellings(cmd)), cmd.CommandPath())
		}
		return usageError("%s; `%s --help` lists the options", flagProblem(err), cmd.CommandPath())
	})
	root.SetHelpFunc(p.help)
	root.AddCommand(p.workerCommand(), p.beatCommand(), p.execCommand(), p.devCommand(), p.stateCommand(), p.drainCommand(), p.hintsCommand(),
		p.simulateCommand(), p.configCommand(), p.versionCommand(), p.referenceCommand())
	return root
}

// unknownFlag is the option that there is not; empty: pflag's error is about another thing.
func unknownFlag(err error) string {
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: "); ok {
		return name
	}
	if rest, ok := strings.CutPrefix(err.Error(), "unknown shorthand flag: "); ok {
		_, name, _ := strings.Cut(rest, " in ")
		return name
	}
	return ""
}

// flagProblem rewords pflag's errors.
func flagProblem(err error) string {
	message := err.Error()
	if name, ok := strings.CutPrefix(message, "flag needs an argument: "); ok {
		return "the option " + name + " needs a value"
	}
	return message
}

// unknownCommand explains, also to those who look for one of Celery's commands.
func unknownCommand(name string) error {
	switch name {
	case "events", "inspect", "control", "status", "multi", "purge", "call", "result", "list", "migrate",
		"graph", "upgrade", "logtool", "amqp", "shell", "report", "flower":
		return usageError("there is no command %q here: use `celery %s`, it works beside crisper", name, name)
	}
	return usageError("there is no command %q; `crisper --help` lists them", name)
}

// firstWord finds the command among args as cobra does: an option of ours that
// takes a value hides the next argument.
func firstWord(args []string) string {
	takesValue := map[string]bool{}
	for _, row := range options.Global() {
		if row.Kind != options.Flag {
			takesValue["--"+row.Name] = true
			takesValue["-"+row.Short] = row.Short != ""
		}
	}
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--":
			return ""
		case takesValue[args[i]]:
			i++
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		}
	}
	return ""
}
