package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"crisper/integration/harness"
	"crisper/integration/page"
	"crisper/integration/program"
)

func main() { program.Main("benchbeat", run) }

// size is how much is measured.
type size struct {
	rounds, entries, many int
	window, lead          time.Duration
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var s size
	set := flag.NewFlagSet("benchbeat", flag.ContinueOnError)
	set.SetOutput(out)
	set.IntVar(&s.rounds, "rounds", 3, "rounds, each with both sides")
	set.IntVar(&s.entries, "entries", 10_000, "entries")
	set.IntVar(&s.many, "many", 100_000, "entries of the start; 0: leave it out")
	set.DurationVar(&s.window, "window", 30*time.Second, "what is measured of each side, at most 55s")
	set.DurationVar(&s.lead, "lead", 25*time.Second, "for writing the schedule file and for the start")
	smoke := set.Bool("smoke", false, "a short run that shows whether it works")
	write := set.Bool("write", false, "write the measured part of the page")
	path := set.String("page", "docs/benchmarks-beat.md", "the page, from the repository's root")
	if err := set.Parse(args); err != nil {
		return err
	}
	if *smoke {
		s = size{rounds: 1, entries: 2000, many: 5000, window: 8 * time.Second, lead: 8 * time.Second}
	}
	if s.rounds < 1 || s.entries < 1 || s.window > 55*time.Second {
		return errors.New("-rounds and -entries must be positive and -window at most 55s, in which no entry is due twice")
	}
	r, root, err := measure(ctx, s, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s", page.Plain(r.table()))
	if *write {
		return part.Write(filepath.Join(root, *path), r.text())
	}
	return nil
}

func measure(ctx context.Context, s size, out io.Writer) (report, string, error) {
	bed, err := harness.Make(harness.Options{Name: "benchbeat"})
	if err != nil {
		return report{}, "", err
	}
	defer bed.Remove()
	b := &bench{bed: bed, size: s, report: func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }}
	if b.redis, err = bed.StartRedis(ctx, harness.RedisOptions{}); err != nil {
		return report{}, "", err
	}
	r := newReport(ctx, b)
	for i := range s.rounds {
		sides := []string{stockSide, crisperSide}
		if i%2 == 1 {
			sides = []string{crisperSide, stockSide}
		}
		r.Load = append(r.Load, loadAverage())
		for _, side := range sides {
			f, err := b.round(ctx, side)
			if err != nil {
				return r, "", err
			}
			r.Sides[side] = append(r.Sides[side], f)
			b.report("round %d %-7s late p50 %.1f ms, p99 %.1f ms, CPU %.1f %% (first process %.1f %%), %.0f MB, %.1f published/s", i+1, side, f.P50, f.P99, f.CPU, f.First, f.Memory, f.Published)
		}
	}
	if s.many > 0 {
		if r.Start, err = b.start(ctx); err != nil {
			return r, "", err
		}
	}
	return r, bed.Root, nil
}
