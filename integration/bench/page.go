package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"crisper/integration/page"
)

// part is ours; the rest of the page is written by people.
var part = page.Part{Target: "bench"}

func (r report) text() string {
	var out strings.Builder
	fmt.Fprintf(&out, "Measured on %s, commit %s, on %s, Linux %s.\n", r.Facts.Date, r.Facts.Commit, r.Facts.Machine, r.Facts.Kernel)
	for _, name := range slices.Sorted(maps.Keys(r.Facts.Versions)) {
		fmt.Fprintf(&out, "%s %s · ", name, r.Facts.Versions[name])
	}
	fmt.Fprintf(&out, "load average %s when the rounds began.\n\n", ranged(r.loads()))
	out.WriteString(page.Markdown(r.table()))
	if r.Peers != nil {
		out.WriteString("\n" + page.Markdown(r.peerTable()))
	}
	out.WriteString("\n" + fmt.Sprintf(method, r.Size.Rounds, r.Size.Tasks, r.Size.Tasks*r.Size.Factor,
		r.Size.turns(), r.Size.Latencies, r.Size.Recyclings, recyclePeriod, r.Size.Idle))
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
	"number, and for `add` the number of results. Celery's own worker inside: it and a bare one live side by side, and take turns of\n" +
	"0.4 s, %d in a round; who has no turn is stopped (SIGSTOP). Events: the same with `-E` and without, one after the other, while a\n" +
	"client reads all events and keeps them; every run checks that none is missing. Latency: %d tasks at irregular intervals to an idle worker, from just before the\n" +
	"publisher's write to the first line of the task, on the machine's monotonic clock. Memory: `smaps_rollup` of every\n" +
	"process of the worker after its children have worked, six children against two, and four. Gap: one slot, saturated with tasks of 2 ms,\n" +
	"%d recyclings, one every %d tasks. Probe: the time of `GET /livez`, and of `celery inspect ping`. Idle: %s of the scheduler's count of the processes'\n" +
	"CPU time, and redis-server's count of commands. The peers are measured in the same way, in rounds of their own: \"celery tuned\" is\n" +
	"`--prefetch-multiplier 64 --without-gossip --without-mingle --without-heartbeat`; Dramatiq has two processes with its default of 8 threads each,\n" +
	"Huey two worker processes and no results."
