package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Between these marks the page is ours; the rest is written by people.
const (
	pageBegin = "<!-- measured: begin; written by `make bench` -->\n"
	pageEnd   = "<!-- measured: end -->\n"
)

// write puts the measured part into the page, and leaves the rest as it is.
func (r report) write(path string) error {
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("cannot read the page: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot make the page's folder: %w", err)
	}
	if err := os.WriteFile(path, []byte(splice(string(old), r.page())), 0o644); err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	return nil
}

// splice replaces what stands between the marks.
func splice(old, measured string) string {
	if before, rest, ok := strings.Cut(old, pageBegin); ok {
		if _, after, ok := strings.Cut(rest, pageEnd); ok {
			return before + pageBegin + measured + pageEnd + after
		}
	}
	if old == "" {
		old = "# Benchmarks\n\n"
	}
	return old + pageBegin + measured + pageEnd
}

func (r report) page() string {
	var out strings.Builder
	fmt.Fprintf(&out, "\nMeasured on %s, commit %s, on %s, Linux %s.\n", r.Facts.Date, r.Facts.Commit, r.Facts.Machine, r.Facts.Kernel)
	for _, name := range slices.Sorted(maps.Keys(r.Facts.Versions)) {
		fmt.Fprintf(&out, "%s %s · ", name, r.Facts.Versions[name])
	}
	fmt.Fprintf(&out, "load average %s when the rounds began.\n\n", ranged(r.loads()))
	out.WriteString(markdown(r.table()))
	if r.Peers != nil {
		out.WriteString("\n" + markdown(r.peerTable()))
	}
	out.WriteString("\n" + fmt.Sprintf(method, r.Size.Rounds, r.Size.Tasks, r.Size.Tasks*r.Size.Factor,
		r.Size.Latencies, r.Size.Recyclings, recyclePeriod, r.Size.Idle) + "\n")
	return out.String()
}

func (r report) loads() []float64 {
	var all []float64
	for _, o := range r.Outcomes {
		all = append(all, o.Load...)
	}
	return all
}

const method = "How: `make bench` starts one redis-server and, in each of up to %d rounds, one worker after the other on the same\n" +
	"application, with the same options and concurrency 2 where nothing else is said; who goes first changes from round to\n" +
	"round. A ratio is taken within a round; the table gives the least, the median and the greatest. Beside each side's\n" +
	"median stand its least and greatest value.\n" +
	"Throughput: the queue is filled with copies of a message that Celery made, %d for Celery and %d for Crisper so that\n" +
	"both work for about as long; the clock runs from the first task to the moment when all have run, counted by the tasks\n" +
	"themselves in shared memory, and the broker has neither waiting nor unacknowledged messages; every run checks the\n" +
	"number, and for `add` the number of results. Latency: %d tasks at irregular intervals to an idle worker, from just before the\n" +
	"publisher's write to the first line of the task, on the machine's monotonic clock. Memory: `smaps_rollup` of every\n" +
	"process of the worker after its children have worked, six children against two, and four. Gap: one slot, saturated with tasks of 2 ms,\n" +
	"%d recyclings, one every %d tasks. Probe: the time of `GET /livez`, and of `celery inspect ping`. Idle: %s of the scheduler's count of the processes'\n" +
	"CPU time, and redis-server's count of commands. The peers are measured in the same way, in rounds of their own: \"celery tuned\" is\n" +
	"`--prefetch-multiplier 64 --without-gossip --without-mingle --without-heartbeat`; Dramatiq has two processes with its default of 8 threads each,\n" +
	"Huey two worker processes and no results."
