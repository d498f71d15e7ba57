//go:build integration && linux

package agent

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"crisper/supervisor/wire"
)

func benchRig(b *testing.B) *rig {
	python := os.Getenv("CRISPER_TEST_PYTHON")
	if python == "" {
		b.Skip("set CRISPER_TEST_PYTHON to an interpreter with Celery")
	}
	app := os.Getenv("CRISPER_BENCH_APP")
	if app == "" {
		app = "bench"
	}
	return load(b, python, Options{App: app})
}

// BenchmarkNoop is one executor with sixteen tasks in its socket: the whole cost
// of a task in the child, Celery's tracer included.
func BenchmarkNoop(b *testing.B) {
	r := benchRig(b)
	c := r.fork("executor")
	frame := wire.AppendTask(nil, 1, message("bench.noop", "3f1b0bb6-0000-4000-8000-000000000000"), "celery@here")
	for range 16 {
		c.send(frame)
	}
	b.ResetTimer()
	for ended := 0; ended < b.N; {
		if f := c.frame(); f.Kind == wire.Done {
			ended++
			c.send(frame)
		}
	}
	b.StopTimer()
}

// BenchmarkForkToHello is the gap of a recycled slot without a surge.
func BenchmarkForkToHello(b *testing.B) {
	r := benchRig(b)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		c := r.fork("executor")
		took = append(took, time.Since(began))
		c.end()
		c.exited <- 0 // for the clean-up
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[0].Microseconds()), "µs/min")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/median")
}

// BenchmarkPrivateMemory is not about time: what an executor weighs on its own.
func BenchmarkPrivateMemory(b *testing.B) {
	r := benchRig(b)
	c := r.fork("executor")
	idle := privateKiB(b, c.pid)
	for range 1000 {
		c.run(message("bench.noop", "x"))
	}
	worked := privateKiB(b, c.pid)
	for b.Loop() { // it resets the metrics
	}
	b.ReportMetric(float64(idle), "KiB/idle")
	b.ReportMetric(float64(worked), "KiB/worked")
	b.ReportMetric(float64(r.info.RSSBytes>>10), "KiB/zygote-rss")
}

func privateKiB(b *testing.B, pid int) (total int) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); strings.HasPrefix(fields[0], "Private_") {
			n, _ := strconv.Atoi(fields[1])
			total += n
		}
	}
	return total
}
