package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"crisper/supervisor"
	"crisper/supervisor/agent"
)

func TestAMistypedOptionReadsLikeClicks(t *testing.T) {
	known := []string{"--concurrency", "--max-tasks-per-child", "--max-memory-per-child", "--umask", "--queues", "--grace"}
	for name, want := range map[string]string{
		"--concurency": "No such option '--concurency'. Did you mean '--concurrency'?",
		"--max-task":   "No such option '--max-task'. (Did you mean one of: '--max-tasks-per-child', '--umask'?)",
		"--gracee":     "No such option '--gracee'. Did you mean '--grace'?",
		"--bogus":      "No such option '--bogus'.",
		"-y":           "No such option '-y'.",
	} {
		if got := noSuchOption(name, known); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAnOptionThatTheAppDoesNotKnowEitherIsWrongUsage(t *testing.T) {
	tr := newTrial(nil)
	tr.program.runWorker = func(context.Context, supervisor.Config, supervisor.Deps) (int, error) {
		return exitUsage, fmt.Errorf("cannot load the app: %w", agent.NoSuchOption{Name: "--graze", Known: []string{"--their-own"}})
	}
	code := tr.do(t, "worker", "-A", "proj", "--graze", "3", "--http", "off", "--socket", "off")
	if code != exitUsage || tr.err.String() != "crisper: No such option '--graze'. Did you mean '--grace'? `crisper worker --help` lists the options\n" {
		t.Errorf("exit code %d: %s", code, tr.err.String())
	}
	if strings.Contains(tr.err.String(), "CRITICAL") {
		t.Error("and there is a line of the log")
	}
}
