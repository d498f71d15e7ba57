// Package program is what the programs under integration/ share: they end early, but
// properly, when they are asked to; what they found can be kept in a file and shown
// again; and they know the repository that they measure.
package program

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// Main runs a program until it ends or is interrupted. Having shown its help is success.
func Main(name string, run func(ctx context.Context, args []string, out io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Keep writes what was found as JSON, unless the path is empty.
func Keep(path string, found any) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(found, "", " ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("cannot write the results: %w", err)
	}
	return nil
}

// Kept reads what an earlier run has kept.
func Kept(path string, found any) error {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, found)
	}
	if err != nil {
		return fmt.Errorf("cannot read the earlier run: %w", err)
	}
	return nil
}

// Root is the repository's folder.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the repository's root: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Commit names what is checked out; empty where git cannot tell.
func Commit(ctx context.Context) string {
	out, _ := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude", "*").Output()
	return strings.TrimSpace(string(out))
}
