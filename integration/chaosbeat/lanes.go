package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"crisper/integration/program"
)

// job is one row of one report.
type job struct {
	fault  fault
	ground *ground
	trials int
	report int // which
	row    *row
}

// plan is a report for each broker, still empty, and the jobs that fill them.
func (s settings) plan(ctx context.Context, g *ground) (all []report, jobs []*job) {
	for i, broker := range s.brokers() {
		all = append(all, report{Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Commit: program.Commit(ctx), Election: s.election, Broker: broker,
			Machine: fmt.Sprintf("%d cores", runtime.NumCPU())})
		for _, f := range faults() {
			if s.wants(f) {
				jobs = append(jobs, &job{fault: f, ground: g.on(broker), trials: s.trialsOn(broker), report: i})
			}
		}
	}
	return all, jobs
}

// carryOut does all rows, some at a time. What was done when ctx ends is in the reports.
func (s settings) carryOut(ctx context.Context, out io.Writer) ([]report, error) {
	g, err := layGround(ctx, s.election, s.brokers())
	if err != nil {
		return nil, err
	}
	defer g.remove()
	all, jobs := s.plan(ctx, g)
	if err := prepare(ctx, g, jobs, out); err != nil {
		return nil, err
	}
	var mu sync.Mutex // of out, and of the rows of jobs
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
	}
	var failed error
	s.inLanes(ctx, jobs, func(j *job) {
		done := j.do(ctx, say)
		mu.Lock()
		defer mu.Unlock()
		j.row = &done
		if s.json != "" && failed == nil {
			failed = program.Keep(s.json, collect(all, jobs))
		}
	})
	return collect(all, jobs), failed
}

// prepare builds the binary with a wrong clock before anything is measured: the first time
// that takes both cores for minutes.
func prepare(ctx context.Context, g *ground, jobs []*job, out io.Writer) error {
	for _, j := range jobs {
		if len(j.fault.skews) == 0 || j.fault.skipped(j.ground) != "" {
			continue
		}
		fmt.Fprintln(out, "building a binary with a wrong clock; minutes the first time, seconds once Go has it in its cache")
		_, err := g.skewed.get(ctx, g.bed.Root, g.bed.Dir)
		return err
	}
	return nil
}

// inLanes does jobs, so many at a time as there are lanes.
func (s settings) inLanes(ctx context.Context, jobs []*job, do func(*job)) {
	var group sync.WaitGroup
	free := make(chan struct{}, s.lanes) // one for each row under way
	for _, j := range jobs {
		free <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() { defer func() { <-free }(); do(j) })
	}
	group.Wait()
}

func (j *job) do(ctx context.Context, say func(string, ...any)) row {
	start := time.Now()
	r := j.fault.run(ctx, j.ground, j.trials, say)
	if r.Skipped == "" {
		say("%-8s %-12s %3d trials, %d ticks: missed %d, doubled %d, take-over %s  (%.0f s)",
			j.ground.broker, r.Name, r.Trials, r.Ticks, r.Missed, r.Doubled, r.tookOver(), time.Since(start).Seconds())
	}
	return r
}

// collect puts the rows that are there into copies of the reports.
func collect(all []report, jobs []*job) []report {
	all = append([]report(nil), all...)
	for i := range all {
		all[i].Rows = nil
	}
	for _, j := range jobs {
		if j.row != nil && !j.row.empty() {
			all[j.report].Rows = append(all[j.report].Rows, *j.row)
		}
	}
	return all
}
