package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"crisper/integration/harness"
	"crisper/integration/program"
)

func main() { program.Main("differential", run) }

// setting is one run of all cases.
type setting struct{ signals, events bool }

func (s setting) String() string {
	return fmt.Sprintf("signals=%t events=%t", s.signals, s.events)
}

// comparison is one run of the program.
type comparison struct {
	bed  *harness.Bed
	home string
	out  io.Writer
}

func run(ctx context.Context, args []string, out io.Writer) error {
	set := flag.NewFlagSet("differential", flag.ContinueOnError)
	set.SetOutput(out)
	quick := set.Bool("quick", false, "only with receivers of signals and with events")
	into := set.String("json", "", "write the differences to this file")
	if err := set.Parse(args); err != nil {
		return err
	}
	bed, err := harness.Make(harness.Options{Name: "differential"})
	if err != nil {
		return err
	}
	defer bed.Close()
	p := &comparison{bed: bed, home: filepath.Join(bed.Root, "integration", "differential"), out: out}
	settings := []setting{{true, true}, {true, false}, {false, true}, {false, false}}
	if *quick {
		settings = settings[:1]
	}
	all, err := p.differences(ctx, settings)
	if err != nil {
		return fmt.Errorf("%w; kept: %s", err, bed.Dir)
	}
	if err := program.Keep(*into, all); err != nil {
		return err
	}
	if *quick {
		if all, err = p.again(ctx, settings, all); err != nil {
			return fmt.Errorf("%w; kept: %s", err, bed.Dir)
		}
	}
	if err := p.judge(all, !*quick); err != nil {
		return fmt.Errorf("%w; kept: %s", err, bed.Dir)
	}
	bed.Remove()
	return nil
}

func (p *comparison) differences(ctx context.Context, settings []setting) ([]difference, error) {
	var all []difference
	for _, s := range settings {
		start := time.Now()
		stock, crisper, err := p.both(ctx, s)
		if err != nil {
			return nil, err
		}
		found := compare(s.String(), stock, crisper)
		fmt.Fprintf(p.out, "%s: %d cases, %d fields differ (%s)\n", s, len(stock), len(found), time.Since(start).Round(time.Second))
		all = append(all, found...)
	}
	return all, nil
}

// judge prints what is not wanted, and fails if there is any.
func (p *comparison) judge(all []difference, whole bool) error {
	list, err := readWanted(filepath.Join(p.home, "wanted.txt"))
	if err != nil {
		return err
	}
	bad := 0
	for _, d := range all {
		if _, ok := covers(list, d); ok {
			continue
		}
		bad++
		fmt.Fprintf(p.out, "\n%s | %s | %s\n  stock:\n%s\n  crisper:\n%s\n", d.Setting, d.Case, d.Field,
			indent(only(d.Stock, d.Crisper)), indent(only(d.Crisper, d.Stock)))
	}
	stale := 0
	for _, w := range list {
		if whole && w.used == 0 && !w.sometimes {
			stale++
			fmt.Fprintf(p.out, "wanted.txt, above line %d: no such difference any more: %s\n", w.line, w.reason)
		}
	}
	fmt.Fprintf(p.out, "\n%d differences, %d not wanted, %d wanted ones that are gone\n", len(all), bad, stale)
	if bad+stale > 0 {
		return fmt.Errorf("%d differences are not wanted, %d lines of wanted.txt are stale", bad, stale)
	}
	return nil
}

func indent(lines []string) string {
	if len(lines) == 0 {
		return "    (the same lines in another order, or nothing)"
	}
	return "    " + strings.Join(lines, "\n    ")
}

// both plays the cases under both workers at the same time.
func (p *comparison) both(ctx context.Context, s setting) (stock, crisper record, err error) {
	var wait sync.WaitGroup
	var failures [2]error
	wait.Go(func() { stock, failures[0] = p.side(ctx, s, "stock") })
	wait.Go(func() { crisper, failures[1] = p.side(ctx, s, "crisper") })
	wait.Wait()
	return stock, crisper, errors.Join(failures[:]...)
}

func (p *comparison) side(ctx context.Context, s setting, side string) (record, error) {
	redis, err := p.bed.StartRedis(ctx, harness.RedisOptions{})
	if err != nil {
		return nil, err
	}
	app := p.app(s, side, redis)
	start, args := p.bed.StartStock, []string{"-c", "4", "--without-mingle", "--without-gossip", "--without-heartbeat"}
	if side == "crisper" {
		start, args = p.bed.StartCrisper, append(args, "--log-format", "console")
	}
	if s.events {
		args = append(args, "-E")
	}
	worker, err := start(app, args...)
	if err != nil {
		return nil, err
	}
	if err := ready(ctx, worker); err != nil {
		return nil, err
	}
	if _, err := p.play(ctx, app, "send"); err != nil {
		return nil, fmt.Errorf("with %s, %s: %w", side, s, err)
	}
	if err := worker.Signal(syscall.SIGTERM); err != nil {
		return nil, fmt.Errorf("cannot stop %s: %w", side, err)
	}
	if _, _, err := worker.Wait(ctx); err != nil {
		return nil, err
	}
	text, err := p.play(ctx, app, "collect", worker.Log, journalOf(app))
	if err != nil {
		return nil, fmt.Errorf("with %s, %s: %w", side, s, err)
	}
	return p.keep(text, side, s)
}

func ready(ctx context.Context, w *harness.Worker) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return w.WaitReady(ctx)
}

// keep stores a side's record beside its logs, and reads it.
func (p *comparison) keep(text []byte, side string, s setting) (record, error) {
	path := p.bed.Path(side + " " + s.String() + ".json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return nil, fmt.Errorf("cannot keep the record: %w", err)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("cannot read the record %s: %w", path, err)
	}
	return r, nil
}

func (p *comparison) app(s setting, side string, redis *harness.Redis) harness.App {
	env := []string{
		"PYTHONPATH=" + filepath.Join(p.home, "app"),
		"DIFF_JOURNAL=" + p.bed.Path(side+".journal"), "DIFF_EVENTS=" + p.bed.Path(side+".events"),
	}
	if s.signals {
		env = append(env, "DIFF_SIGNALS=1")
	}
	return harness.App{Name: "diffapp", Broker: redis.URL(0), Backend: redis.URL(1), Env: env}
}

func journalOf(a harness.App) string {
	return strings.TrimPrefix(a.Env[1], "DIFF_JOURNAL=")
}

// play runs play.py and returns what it prints.
func (p *comparison) play(ctx context.Context, a harness.App, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.bed.Python, append([]string{filepath.Join(p.home, "app", "play.py")}, args...)...)
	cmd.Env = append(os.Environ(), p.bed.Env(a)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("play.py %s: %w\n%s", args[0], err, errs.String())
	}
	return out, nil
}
