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
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chaosbeat:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	rows, json, page, from string
	election, broker       string
	trials, lanes          int
	write                  bool
}

func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	set := flag.NewFlagSet("chaosbeat", flag.ContinueOnError)
	set.SetOutput(out)
	set.StringVar(&s.rows, "rows", "", "faults, separated by commas; default: all ("+strings.Join(names(), ", ")+")")
	set.IntVar(&s.trials, "trials", 10, "trials of each fault")
	set.IntVar(&s.lanes, "lanes", 3, "rows at the same time, each with a broker and replicas of its own")
	set.StringVar(&s.election, "election", byKubernetes, "kubernetes, redis or file")
	set.StringVar(&s.broker, "broker", onRedis, "redis or rabbitmq")
	set.StringVar(&s.json, "json", "", "write everything to this file")
	set.StringVar(&s.from, "from", "", "break nothing: show, or -write, what an earlier run wrote with -json")
	set.BoolVar(&s.write, "write", false, "write the table into the page")
	set.StringVar(&s.page, "page", "docs/explanation/guarantees-beat.md", "the page, from the repository's root")
	err := set.Parse(args)
	if err == nil {
		err = s.check()
	}
	return s, err
}

func (s settings) check() error {
	for _, name := range strings.Split(s.rows, ",") {
		if name != "" && !slices.Contains(names(), name) {
			return fmt.Errorf("there is no fault %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	switch {
	case s.trials < 1 || s.lanes < 1:
		return errors.New("-trials and -lanes must be at least 1")
	case !slices.Contains([]string{byKubernetes, byRedis, byFile}, s.election):
		return fmt.Errorf("there is no election by %q", s.election)
	case !slices.Contains([]string{onRedis, onRabbitMQ}, s.broker):
		return fmt.Errorf("there is no broker %q", s.broker)
	case s.election == byRedis && s.broker == onRabbitMQ:
		return errors.New("crisper beat refuses --election=redis with RabbitMQ")
	}
	return nil
}

func (s settings) wants(f fault) bool {
	return s.rows == "" || slices.Contains(strings.Split(s.rows, ","), f.name)
}

func names() []string {
	var all []string
	for _, f := range faults() {
		all = append(all, f.name)
	}
	return all
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := s.report(ctx, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s", plain(r.table()))
	if err := s.save(ctx, r); err != nil {
		return err
	}
	return judgeRows(r)
}

// report is that of a new run, or with -from of an earlier one.
func (s settings) report(ctx context.Context, out io.Writer) (report, error) {
	if s.from == "" {
		return s.carryOut(ctx, out)
	}
	var r report
	text, err := os.ReadFile(s.from)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("cannot read the earlier run: %w", err)
	}
	return r, nil
}

func (s settings) carryOut(ctx context.Context, out io.Writer) (report, error) {
	r := report{Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Election: s.election, Broker: s.broker,
		Machine: fmt.Sprintf("%d cores", runtime.NumCPU())}
	var saying sync.Mutex
	say := func(format string, args ...any) {
		saying.Lock()
		defer saying.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
	}
	g, err := layGround(ctx, s.election, s.broker)
	if err != nil {
		return r, err
	}
	defer g.remove()
	all := faults()
	rows := make([]*row, len(all)) // nil: not wanted
	do := func(i int) {
		start := time.Now()
		each := all[i].run(ctx, g, s.trials, say)
		rows[i] = &each
		if each.Skipped == "" {
			say("%-12s %3d trials, %d ticks: missed %d, doubled %d, take-over %s  (%.0f s)",
				each.Name, each.Trials, each.Ticks, each.Missed, each.Doubled, each.tookOver(), time.Since(start).Seconds())
		}
	}
	s.together(ctx, all, do)
	for i, f := range all {
		if f.alone && s.wants(f) && ctx.Err() == nil {
			do(i)
		}
	}
	for _, each := range rows {
		if each != nil {
			r.Rows = append(r.Rows, *each)
		}
	}
	return r, nil
}

// together does the rows that do not touch each other, some at a time.
func (s settings) together(ctx context.Context, all []fault, do func(int)) {
	var group sync.WaitGroup
	free := make(chan struct{}, s.lanes) // one for each row under way
	for i, f := range all {
		if f.alone || !s.wants(f) || ctx.Err() != nil {
			continue
		}
		free <- struct{}{}
		group.Go(func() { defer func() { <-free }(); do(i) })
	}
	group.Wait()
}

func (s settings) save(ctx context.Context, r report) error {
	commit, _ := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude", "*").Output()
	if s.from == "" {
		r.Commit = strings.TrimSpace(string(commit))
	}
	if s.json != "" {
		text, err := json.MarshalIndent(r, "", " ")
		if err == nil {
			err = os.WriteFile(s.json, append(text, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("cannot write the results: %w", err)
		}
	}
	if !s.write {
		return nil
	}
	root, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("cannot find the repository's root: %w", err)
	}
	return r.write(filepath.Join(strings.TrimSpace(string(root)), s.page))
}

// judgeRows fails the program when a promise was broken.
func judgeRows(r report) error {
	var bad []error
	for _, each := range r.Rows {
		if !each.clean() {
			bad = append(bad, fmt.Errorf("%s: missed %d, doubled %d, stray %d, notes %q, %d trials could not be carried out; kept: %s",
				each.Name, each.Missed, each.Doubled, each.Stray, slices.Compact(each.Notes), len(each.Errors), strings.Join(each.Kept, " ")))
		}
	}
	return errors.Join(bad...)
}
