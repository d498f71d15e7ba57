package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"crisper/integration/page"
	"crisper/integration/program"
)

func main() { program.Main("chaos", run) }

// settings are the flags.
type settings struct {
	rows, json, page, from string
	trials, lanes          int
	seed                   uint64
	runtime                string
	stock, write, busy     bool
}

func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	set := flag.NewFlagSet("chaos", flag.ContinueOnError)
	set.SetOutput(out)
	set.StringVar(&s.rows, "rows", "", "faults, separated by commas; default: all ("+strings.Join(names(faults()), ", ")+"; of the celery runtime "+strings.Join(names(wrappedFaults()), ", ")+")")
	set.StringVar(&s.runtime, "runtime", "native", "what is broken: native or celery (whole Celery workers as children)")
	set.IntVar(&s.trials, "trials", 10, "trials of each fault")
	set.IntVar(&s.lanes, "lanes", 1, "trials at the same time, each with a broker and workers of its own")
	set.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "of what is left to chance")
	set.BoolVar(&s.stock, "stock", false, "break Celery's own worker instead, for comparison")
	set.BoolVar(&s.busy, "busy", false, "the machine is not ours alone: tolerate that everything on it stands still for a second")
	set.StringVar(&s.json, "json", "", "write everything to this file")
	set.StringVar(&s.from, "from", "", "break nothing: show, or -write, what an earlier run wrote with -json")
	set.BoolVar(&s.write, "write", false, "write the table into the page")
	set.StringVar(&s.page, "page", "docs/explanation/guarantees.md", "the page, from the repository's root")
	err := set.Parse(args)
	if err == nil {
		err = s.check()
	}
	return s, err
}

func (s settings) check() error {
	for _, name := range strings.Split(s.rows, ",") {
		if known := names(s.faults()); name != "" && !slices.Contains(known, name) {
			return fmt.Errorf("there is no fault %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	if s.runtime != "native" && s.runtime != "celery" {
		return fmt.Errorf("-runtime is native or celery, not %q", s.runtime)
	}
	if s.trials < 1 || s.lanes < 1 {
		return errors.New("-trials and -lanes must be at least 1")
	}
	return nil
}

func (s settings) faults() []fault {
	if s.runtime == "celery" {
		return wrappedFaults()
	}
	return faults()
}

func names(of []fault) []string {
	var all []string
	for _, f := range of {
		all = append(all, f.name)
	}
	return all
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args, out)
	if err != nil {
		return err
	}
	r, err := s.report(ctx, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s", page.Plain(r.table()))
	if err := s.save(ctx, r); err != nil {
		return err
	}
	return s.judge(r)
}

// report is that of a new run, or with -from of an earlier one.
func (s settings) report(ctx context.Context, out io.Writer) (report, error) {
	if s.from == "" {
		return s.carryOut(ctx, out), nil
	}
	var r report
	err := program.Kept(s.from, &r)
	return r, err
}

func (s settings) side() string {
	switch {
	case s.stock:
		return stockSide
	case s.runtime == "celery":
		return wrappedSide
	}
	return crisperSide
}

func (s settings) tolerance() tolerance {
	if s.busy {
		return onABusyMachine
	}
	return strict
}

func (s settings) carryOut(ctx context.Context, out io.Writer) report {
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	say("seed %d", s.seed)
	r := report{Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Side: s.side(),
		Machine: fmt.Sprintf("%d cores", runtime.NumCPU())}
	if s.stock && s.runtime == "celery" {
		r.Side = besideSide
	}
	for _, f := range s.faults() {
		if s.rows != "" && !slices.Contains(strings.Split(s.rows, ","), f.name) || ctx.Err() != nil {
			continue
		}
		start := time.Now()
		each := (&runner{side: s.side(), trials: s.trials, lanes: s.lanes, seed: s.seed, keep: !s.stock, tolerance: s.tolerance(), say: say}).run(ctx, f)
		say("%-15s %3d trials, %d tasks: lost %d, doubled %d, recovery %s  (%.0f s)",
			f.name, each.Trials, each.Tasks, each.Lost, each.Doubled, each.recovered(), time.Since(start).Seconds())
		r.Rows = append(r.Rows, each)
	}
	return r
}

func (s settings) save(ctx context.Context, r report) error {
	if s.from == "" {
		r.Commit = program.Commit(ctx)
	}
	if err := program.Keep(s.json, r); err != nil || !s.write {
		return err
	}
	root, err := program.Root(ctx)
	if err != nil {
		return err
	}
	return r.part().Write(filepath.Join(root, s.page), r.text())
}

// judge fails the program when Crisper broke a promise. Celery's worker is only shown.
func (s settings) judge(r report) error {
	var bad []error
	for _, each := range r.Rows {
		if !s.stock && !each.clean() {
			bad = append(bad, fmt.Errorf("%s: lost %d, doubled %d, notes %q, %d trials could not be carried out; kept: %s",
				each.Name, each.Lost, each.Doubled, slices.Compact(each.Notes), len(each.Errors), strings.Join(each.Kept, " ")))
		}
	}
	return errors.Join(bad...)
}
