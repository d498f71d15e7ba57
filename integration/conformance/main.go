package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"crisper/integration/harness"
	"crisper/integration/page"
	"crisper/integration/program"
)

func main() { program.Main("conformance", run) }

// settings are the flags and the tests to run.
type settings struct {
	source, python, binary string
	side, json, from, page string
	repeat                 int
	timeout                time.Duration
	quick, write, record   bool
	tests                  []string // ids; none: all
}

func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	set := flag.NewFlagSet("conformance", flag.ContinueOnError)
	set.SetOutput(out)
	set.StringVar(&s.source, "source", "", "directory of Celery's sources, with t and pyproject.toml")
	set.StringVar(&s.python, "python", "", "interpreter with what integration/requirements/conformance.txt locks")
	set.StringVar(&s.binary, "crisper", "", "the binary; default: CRISPER_BIN, then bin/crisper")
	set.StringVar(&s.side, "side", "", "stock or crisper: run this side only, judge nothing")
	set.IntVar(&s.repeat, "repeat", 1, "rounds")
	set.DurationVar(&s.timeout, "timeout", 5*time.Minute, "of each test")
	set.BoolVar(&s.quick, "quick", false, "only the cheap tests, some minutes")
	set.StringVar(&s.json, "json", "", "write everything to this file")
	set.StringVar(&s.from, "from", "", "run nothing: show, -record or -write what an earlier run wrote with -json")
	set.BoolVar(&s.record, "record", false, "note what the tests cost, for -quick")
	set.BoolVar(&s.write, "write", false, "write the tables into the page")
	set.StringVar(&s.page, "page", "docs/reference/conformance.md", "the page, from the repository's root")
	if err := set.Parse(args); err != nil {
		return s, err
	}
	s.tests = set.Args()
	return s, s.check()
}

func (s settings) check() error {
	switch {
	case s.from != "":
		return nil
	case s.source == "" || s.python == "":
		return errors.New("-source and -python are needed; integration/tools/conformance.sh gives them")
	case s.side != "" && s.side != stockSide && s.side != crisperSide:
		return fmt.Errorf("there is no side %q; there are stock and crisper", s.side)
	case s.repeat < 1:
		return errors.New("-repeat must be at least 1")
	case s.quick && len(s.tests) > 0:
		return errors.New("-quick chooses the tests itself")
	}
	return nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args, out)
	if err != nil {
		return err
	}
	root, err := program.Root(ctx)
	if err != nil {
		return err
	}
	home := filepath.Join(root, "integration", "conformance")
	r, err := s.report(ctx, home, out)
	if err != nil {
		return err
	}
	r.finish()
	fmt.Fprintf(out, "\n%s\n%s\nworkers that ended by themselves: %s", page.Markdown(r.summary()),
		page.Markdown(r.table(func(t *test) bool { return t.Verdict != same && t.Verdict != skipped })), r.endings())
	if err := s.save(r, home); err != nil {
		return err
	}
	return r.verdict()
}

// report is that of a new run, or with -from of an earlier one, judged by what is known of
// the tests today.
func (s settings) report(ctx context.Context, home string, out io.Writer) (report, error) {
	if s.from == "" {
		return s.carryOut(ctx, home, out)
	}
	var r report
	err := program.Kept(s.from, &r)
	if err == nil {
		r.Unsteady, err = readReasons(filepath.Join(home, "unsteady.txt"))
	}
	return r, err
}

func (s settings) carryOut(ctx context.Context, home string, out io.Writer) (report, error) {
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	bed, err := harness.Make(harness.Options{Name: "conformance", Python: s.python, Binary: s.binary})
	if err != nil {
		return report{}, err
	}
	defer bed.Close()
	say("logs: %s", bed.Dir)
	each := &runner{bed: bed, source: s.source, timeout: s.timeout, skip: filepath.Join(home, "not_applicable.txt"), say: say}
	if each.only, err = s.choose(bed, home, say); err != nil {
		return report{}, err
	}
	r := report{Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Side: s.side, Rounds: s.repeat, Quick: s.quick,
		Celery: strings.TrimPrefix(filepath.Base(s.source), "celery-"), Commit: program.Commit(ctx)}
	if r.Reasons, err = readReasons(each.skip); err != nil {
		return r, err
	}
	if r.Unsteady, err = readReasons(filepath.Join(home, "unsteady.txt")); err != nil {
		return r, err
	}
	start := time.Now()
	for number := 1; number <= s.repeat && ctx.Err() == nil; number++ {
		if err := each.round(ctx, number, s.sides(), &r); err != nil {
			return r, err
		}
	}
	if s.quick {
		if err := each.again(ctx, s, &r); err != nil {
			return r, err
		}
	}
	r.Minutes = time.Since(start).Minutes()
	r.finish()
	if r.verdict() == nil && ctx.Err() == nil {
		bed.Remove()
	}
	return r, nil
}

func (s settings) sides() []string {
	if s.side != "" {
		return []string{s.side}
	}
	return []string{stockSide, crisperSide}
}

// choose writes the list of tests to run, if it is not all of them.
func (s settings) choose(bed *harness.Bed, home string, say func(string, ...any)) (string, error) {
	path := bed.Path("chosen.txt")
	switch {
	case s.quick:
		return path, writeQuick(path, home, say)
	case len(s.tests) > 0:
		if err := os.WriteFile(path, []byte(strings.Join(s.tests, "\n")+"\n"), 0o644); err != nil {
			return "", fmt.Errorf("cannot write the choice of tests: %w", err)
		}
		return path, nil
	}
	return "", nil
}

func (s settings) save(r report, home string) error {
	if err := program.Keep(s.json, r); err != nil {
		return err
	}
	if s.record {
		if err := r.record(filepath.Join(home, "seconds.json")); err != nil {
			return err
		}
	}
	if s.write {
		return part.Write(filepath.Join(home, "..", "..", s.page), r.text())
	}
	return nil
}
