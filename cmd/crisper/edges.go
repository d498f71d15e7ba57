package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"crisper/supervisor"
	"crisper/supervisor/agent"
)

// findPython finds the interpreter of the app as the worker does.
func findPython(wanted string) (string, error) { return agent.FindPython(wanted, os.Environ()) }

// loadInfo starts a zygote that loads the app, tells about it and leaves.
func loadInfo(ctx context.Context, python string, opts agent.Options, stderr io.Writer) (agent.Info, error) {
	var info agent.Info
	python, err := findPython(python)
	if err != nil {
		return info, exitError{exitUsage, err}
	}
	dir, cleanup, err := agent.Unpack("")
	if err != nil {
		return info, err
	}
	defer cleanup()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	zygote, err := agent.Launch(ctx, agent.LaunchConfig{
		Python: python, Dir: dir, Options: opts, Env: os.Environ(),
		// What the app prints must not mix with our JSON.
		Stdout: os.Stderr, Stderr: stderr, Generation: 1,
	})
	if err != nil {
		return info, err
	}
	info, err = firstInfo(ctx, zygote.Events())
	_ = zygote.Quit() // it may have left already
	for range zygote.Events() {
		// Read to the end: then the process is gone, and its files may go.
	}
	return info, err
}

func firstInfo(ctx context.Context, events <-chan agent.ZygoteEvent) (agent.Info, error) {
	for {
		select {
		case <-ctx.Done():
			return agent.Info{}, fmt.Errorf("cannot load the app: %w", ctx.Err())
		case event, ok := <-events:
			if !ok {
				return agent.Info{}, errors.New("cannot load the app: the Python process left without a word")
			}
			switch e := event.(type) {
			case agent.LoadedEvent:
				return e.Info, nil
			case agent.FailedEvent:
				return agent.Info{}, exitError{failedCode(e), fmt.Errorf("cannot load the app: %w", e.Err)}
			case agent.ExitedEvent:
				return agent.Info{}, exitError{supervisor.ExitApp, fmt.Errorf("cannot load the app: the Python process left (%s)", e.Status)}
			}
		}
	}
}

func failedCode(e agent.FailedEvent) int {
	if e.Usage {
		return supervisor.ExitUsage
	}
	return supervisor.ExitApp
}
