package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"crisper/integration/page"
	"crisper/integration/program"
)

// report is one run of the program.
type report struct {
	Date, Commit, Versions string
	Size                   size
	Load                   []string // of the machine, before each round
	Sides                  map[string][]figures
	Start                  started
}

func newReport(ctx context.Context, b *bench) report {
	said := func(args ...string) string {
		out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(out))
	}
	version := func(name string) string {
		return name + " " + said(b.bed.Python, "-c", "import importlib.metadata as m; print(m.version('"+name+"'))")
	}
	return report{
		Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Size: b.size, Sides: map[string][]figures{},
		Commit: program.Commit(ctx),
		Versions: strings.Join([]string{runtime.Version(), "Python " + said(b.bed.Python, "-c", "import platform; print(platform.python_version())"),
			version("celery"), version("kombu"), version("redis")}, " · "),
	}
}

// loadAverage is that of the last minute.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg") // "" elsewhere than on Linux
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// line is one figure of the table.
type line struct {
	what, unit, goal string
	of               func(figures) float64
	higherIsBetter   bool
	reached          func(float64) bool // of our median; nil: no goal
}

func (r report) lines() []line {
	return []line{
		{what: "lateness p50", unit: "ms", of: func(f figures) float64 { return f.P50 }},
		{what: "lateness p99", unit: "ms", goal: "≤ 50 ms", of: func(f figures) float64 { return f.P99 }, reached: func(v float64) bool { return v <= 50 }},
		{what: "published (due: " + fmt.Sprintf("%.1f", float64(r.Size.entries)/average.Seconds()) + ")", unit: "1/s", higherIsBetter: true,
			of: func(f figures) float64 { return f.Published }},
		{what: "CPU, Python included", unit: "% of a core", goal: "≤ 5 %", of: func(f figures) float64 { return f.CPU }, reached: func(v float64) bool { return v <= 5 }},
		{what: "… of it the first process", unit: "% of a core", of: func(f figures) float64 { return f.First }},
		{what: "private memory, Python included", unit: "MB", of: func(f figures) float64 { return f.Memory }},
	}
}

func (r report) table() [][]string {
	rows := [][]string{{fmt.Sprintf("%d entries of about a minute", r.Size.entries), "unit", "celery beat", "crisper beat", "times better: min / median / max", "goal", "reached"}}
	for _, l := range r.lines() {
		ours, theirs := each(r.Sides[crisperSide], l.of), each(r.Sides[stockSide], l.of)
		reached := ""
		if l.reached != nil {
			reached = map[bool]string{true: "yes", false: "no"}[l.reached(spreadOf(ours).Median)]
		}
		times := spreadOf(ratios(ours, theirs, l.higherIsBetter))
		rows = append(rows, []string{l.what, l.unit, ranged(theirs), ranged(ours),
			fmt.Sprintf("%.3g / **%.3g** / %.3g", times.Min, times.Median, times.Max), l.goal, reached})
	}
	if s := r.Start; s.Entries > 0 {
		rows = append(rows, []string{fmt.Sprintf("start with %d entries, without Python's part", s.Entries), "s", "", fmt.Sprintf("%.2f", s.own()), "", "≤ 5 s",
			map[bool]string{true: "yes", false: "no"}[s.own() <= 5]},
			[]string{"… Python's part (import, messages)", "s", "", fmt.Sprintf("%.2f", s.Python), "", "", ""},
			[]string{"… private memory", "MB", "", fmt.Sprintf("%.0f", s.Memory), "", "", ""})
	}
	return rows
}

func each(all []figures, of func(figures) float64) []float64 {
	var values []float64
	for _, f := range all {
		values = append(values, of(f))
	}
	return values
}

func ranged(values []float64) string {
	s := spreadOf(values)
	return fmt.Sprintf("%.3g (%.3g–%.3g)", s.Median, s.Min, s.Max)
}

// part is ours; the rest of the page is written by people.
var part = page.Part{Target: "bench-beat"}

func (r report) text() string {
	return fmt.Sprintf("Measured on %s, commit %s, on %d cores, load average %s before the rounds.\n%s · %d rounds, %s of each side measured.\n\n%s",
		r.Date, r.Commit, runtime.NumCPU(), strings.Join(r.Load, ", "), r.Versions, r.Size.rounds, r.Size.window, page.Markdown(r.table()))
}
