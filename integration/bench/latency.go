package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"crisper/integration/bench/load"
)

// latency measures from just before the publisher's write to the first line of the
// task, with an idle worker: p50 and p99 in milliseconds.
func latency(ctx context.Context, b *bench, s side) ([]float64, error) {
	notes := b.bed.Path("notes")
	w, err := b.fresh(ctx, s, notes, 2)
	if err != nil {
		return nil, err
	}
	defer stop(w)
	before := b.counter.sum()
	sent, err := b.oneByOne(b.size.Latencies)
	if err != nil {
		return nil, err
	}
	if err := b.counter.until(ctx, before+b.size.Latencies); err != nil {
		return nil, err
	}
	lines, err := numbers(notes)
	if err != nil {
		return nil, err
	}
	var ms []float64
	for _, line := range lines {
		ms = append(ms, float64(line[1]-sent[line[0]])/1e6)
	}
	return []float64{percentile(ms, 50), percentile(ms, 99)}, nil
}

// oneByOne publishes n tasks at irregular intervals and tells when each was written.
// Each message is ready before its time: how long this program takes to make one is
// not the worker's latency.
func (b *bench) oneByOne(n int) ([]int64, error) {
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(b.redis.Port)))
	if err != nil {
		return nil, fmt.Errorf("cannot connect to redis-server: %w", err)
	}
	defer c.Close()
	sent := make([]int64, n)
	answer := make([]byte, 64)
	for i := range sent {
		request, err := b.templates["benchapp.stamp"].Request(load.Messages(1, i)[0])
		if err != nil {
			return nil, err
		}
		// Idle means: nothing for a while, and for no regular while.
		time.Sleep(20*time.Millisecond + rand.N(60*time.Millisecond))
		sent[i] = monotonic()
		if _, err := c.Write(request); err != nil {
			return nil, fmt.Errorf("cannot publish: %w", err)
		}
		if got, err := c.Read(answer); err != nil || answer[0] != ':' {
			return nil, fmt.Errorf("cannot publish: redis-server answered %q: %w", answer[:got], err)
		}
	}
	return sent, nil
}

// fresh empties everything, starts a worker and waits until every child has worked.
func (b *bench) fresh(ctx context.Context, s side, notes string, children int, args ...string) (*worker, error) {
	if err := b.clean(ctx); err != nil {
		return nil, err
	}
	w, err := s.start(b, b.app(notes), append([]string{"-c", strconv.Itoa(children)}, args...)...)
	if err != nil {
		return nil, err
	}
	if err := b.ready(ctx, children); err != nil {
		stop(w)
		return nil, err
	}
	return w, nil
}

// monotonic is CLOCK_MONOTONIC, which Python's time.monotonic_ns reads too.
func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail for this clock
	return t.Nano()
}

// numbers reads lines of whole numbers.
func numbers(path string) ([][]int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read what the tasks wrote: %w", err)
	}
	var all [][]int64
	for line := range strings.Lines(string(text)) {
		var row []int64
		for _, field := range strings.Fields(line) {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("cannot read what the tasks wrote: %w", err)
			}
			row = append(row, n)
		}
		all = append(all, row)
	}
	return all, nil
}
