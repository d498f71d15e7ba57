package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"crisper/integration/bench/proctree"
	"crisper/integration/harness"
)

const crisperSide, stockSide = "crisper", "celery"

// figures of one side in one round.
type figures struct {
	P50       float64 `json:"late_p50_ms"`
	P99       float64 `json:"late_p99_ms"`
	CPU       float64 `json:"cpu_percent"`
	First     float64 `json:"cpu_first_process_percent"`
	Memory    float64 `json:"private_mb"`
	Published float64 `json:"published_per_second"`
}

// bench is the ground of all rounds.
type bench struct {
	bed    *harness.Bed
	redis  *harness.Redis
	size   size
	report func(string, ...any)
}

// average is the mean period of app/manyticks.py.
const average = 63500 * time.Millisecond

// warmUp is the time between Begin and the window.
const warmUp = 5 * time.Second

func (b *bench) env(count int, more ...string) []string {
	return append([]string{
		"PYTHONPATH=" + filepath.Join(b.bed.Root, "integration", "benchbeat", "app"),
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1", "CELERY_BROKER_URL=" + b.redis.URL(0),
		"MANYTICKS_COUNT=" + strconv.Itoa(count),
	}, more...)
}

// command is a beat of either kind; own are options of Crisper's.
func (b *bench) command(side, schedule string, own ...string) []string {
	if side == stockSide {
		return []string{filepath.Join(filepath.Dir(b.bed.Python), "celery"), "-A", "manyticks", "beat", "-s", schedule, "--pidfile", "", "-l", "WARNING"}
	}
	return append([]string{b.bed.Binary, "beat", "-A", "manyticks", "--python", b.bed.Python, "-s", schedule,
		"--election", "file", "--http", "off", "--socket", "off", "-l", "WARNING"}, own...)
}

// round measures one side.
func (b *bench) round(ctx context.Context, side string) (figures, error) {
	if err := b.redis.Client.FlushAll(ctx).Err(); err != nil {
		return figures{}, fmt.Errorf("cannot empty Redis: %w", err)
	}
	dir := b.bed.Path("schedule")
	work := load{count: b.size.entries, begin: time.Now().Add(b.size.lead), spread: average}
	if err := b.seed(ctx, dir, work); err != nil {
		return figures{}, err
	}
	c, end := follow(ctx, b.redis)
	defer end()
	p, err := b.bed.Start(harness.Command{Name: side, Args: b.command(side, dir), Env: b.env(work.count)})
	if err != nil {
		return figures{}, err
	}
	defer p.End()
	from := work.begin.Add(warmUp)
	until := from.Add(b.size.window)
	if err := at(ctx, from); err != nil {
		return figures{}, err
	}
	cpu, first, began := proctree.CPU(p.PID()), proctree.CPUOf(p.PID()), time.Now()
	if err := at(ctx, until); err != nil {
		return figures{}, err
	}
	cpu, first = proctree.CPU(p.PID())-cpu, proctree.CPUOf(p.PID())-first
	percent := 100 / time.Since(began).Seconds()
	memory, err := proctree.Measure(p.PID())
	if err != nil {
		return figures{}, fmt.Errorf("%w\n%s", err, b.bed.Tails(10))
	}
	p.End()
	end()
	came, doubled, err := c.result()
	if err == nil && doubled > 0 {
		err = fmt.Errorf("%s: %d ticks came twice", side, doubled)
	}
	if due := work.due(0).Add(warmUp / 2); err == nil && came[0].After(due) {
		err = fmt.Errorf("%s was not up at %s: give it more time with -lead", side, due.Format(time.TimeOnly))
	}
	late := work.lateness(came, from, until)
	return figures{
		P50: percentile(late, 50), P99: percentile(late, 99), CPU: percent * cpu.Seconds(), First: percent * first.Seconds(),
		Memory: float64(memory.Private) / 1e6, Published: float64(within(came, from, until)) / b.size.window.Seconds(),
	}, err
}

// seed writes the schedule file.
func (b *bench) seed(ctx context.Context, path string, l load) error {
	seconds := func(f float64) string { return strconv.FormatFloat(f, 'f', 6, 64) }
	script := filepath.Join(b.bed.Root, "integration", "benchbeat", "app", "seed.py")
	out, code, err := b.bed.Run(ctx, harness.Command{Name: "seed", Env: b.env(l.count),
		Args: []string{b.bed.Python, script, path, seconds(float64(l.begin.UnixMicro()) / 1e6), seconds(l.spread.Seconds())}})
	if err == nil && code != 0 {
		err = fmt.Errorf("cannot write a schedule file: %s", out)
	}
	return err
}

// at waits for a moment.
func at(ctx context.Context, moment time.Time) error {
	select {
	case <-time.After(time.Until(moment)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// started is how a beat with very many entries came up.
type started struct {
	Entries int     `json:"entries"`
	Total   float64 `json:"seconds"`        // to the first message
	Python  float64 `json:"python_seconds"` // of it
	Memory  float64 `json:"private_mb"`
}

func (s started) own() float64 { return s.Total - s.Python }

// start measures it.
func (b *bench) start(ctx context.Context) (started, error) {
	s := started{Entries: b.size.many}
	if err := b.redis.Client.FlushAll(ctx).Err(); err != nil {
		return s, fmt.Errorf("cannot empty Redis: %w", err)
	}
	c, end := follow(ctx, b.redis)
	defer end()
	args := b.command(crisperSide, b.bed.Path("many"), "--log-format", "json", "-l", "INFO")
	p, err := b.bed.Start(harness.Command{Name: "many", Args: args, Env: b.env(s.Entries, "MANYTICKS_BEACON=1")})
	if err != nil {
		return s, err
	}
	defer p.End()
	select {
	case first := <-c.beacon:
		s.Total = first.Sub(p.Started).Seconds()
	case <-p.Done():
		return s, fmt.Errorf("crisper beat has ended:\n%s", b.bed.Tails(10))
	case <-ctx.Done():
		return s, ctx.Err()
	}
	line, err := p.WaitLog(ctx, "app loaded")
	if err != nil {
		return s, err
	}
	var said struct {
		Import  float64 `json:"import_seconds"`
		Entries float64 `json:"entries_seconds"`
	}
	if err := json.NewDecoder(strings.NewReader(line)).Decode(&said); err != nil {
		return s, fmt.Errorf("cannot read %q: %w", line, err)
	}
	s.Python = said.Import + said.Entries
	memory, err := proctree.Measure(p.PID())
	s.Memory = float64(memory.Private) / 1e6
	return s, err
}
