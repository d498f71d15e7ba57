package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"crisper/integration/harness"
)

type worker = harness.Worker

func command(name string, env []string, args ...string) harness.Command {
	return harness.Command{Name: name, Args: args, Env: env}
}

// figure is one line of the table.
type figure struct {
	Title  string `json:"title"`
	Unit   string `json:"unit"`
	Higher bool   `json:"higher_is_better"`
	// Goal is the ratio to reach, or with Limit an absolute value of Crisper's: at most,
	// or at least where higher is better.
	Goal  float64 `json:"goal,omitempty"`
	Limit float64 `json:"limit,omitempty"`
}

// experiment measures one side once, and gives a value for each of its figures.
type experiment struct {
	name    string
	figures []figure
	rounds  int // at most; 0: as many as asked for
	run     func(ctx context.Context, b *bench, s side) ([]float64, error)
	wrapped bool // ours is the celery runtime
	// both, in the place of run, measures all sides at once, in their order.
	both func(ctx context.Context, b *bench, sides []side) ([][]float64, error)
}

func experiments() []experiment {
	return append(nativeExperiments(), wrappedExperiments()...)
}

func nativeExperiments() []experiment {
	return []experiment{
		{name: "noop", figures: append([]figure{{"no-op tasks", "tasks/s", true, 20, 0}}, perTask(0)...), run: throughput("noop", "-c 2", 1)},
		{name: "recycled", figures: []figure{{"no-op tasks, `--max-tasks-per-child=100`", "tasks/s", true, 25, 0}},
			run: throughput("noop", "-c 2 --max-tasks-per-child 100", 0.7)},
		eventsExperiment(),
		{name: "results", figures: append([]figure{{"`add`, results in Redis", "tasks/s", true, 4, 0}}, perTask(0)...), run: withResults},
		{name: "latency", figures: []figure{{"enqueue to start, idle, p50", "ms", false, 4, 0}, {"enqueue to start, idle, p99", "ms", false, 4, 0}}, run: latency},
		{name: "child", figures: []figure{{"private memory of one more child", "MB", false, 5, 0}}, rounds: 3, run: perChild},
		{name: "pool", figures: []figure{{"whole pool of 4, PSS", "MB", false, 2, 0}}, rounds: 3, run: wholePool},
		{name: "gap", figures: []figure{{"gap of a recycled slot, median", "ms", false, 0, 5}, {"gap of a recycled slot, p99", "ms", false, 0, 0}}, rounds: 3, run: gap},
		{name: "probe", figures: []figure{{"probe", "ms", false, 0, 1}}, rounds: 3, run: probe},
		{name: "idle", figures: []figure{{"idle CPU", "ms/s", false, 2, 0}, {"idle broker commands", "1/s", false, 2, 0}}, rounds: 3, run: idle},
	}
}

// outcome is what an experiment gave: values[side][figure][round].
type outcome struct {
	Name    string                 `json:"name"`
	Figures []figure               `json:"figures"`
	Values  map[string][][]float64 `json:"values"`
	Load    []float64              `json:"load_average"` // at the start of each round
}

// measure runs all sides in every round, and who goes first changes from round to
// round: what the machine does meanwhile strikes both.
func (b *bench) measure(ctx context.Context, e experiment, sides []side, say func(string, ...any)) (outcome, error) {
	o := outcome{Name: e.name, Figures: e.figures, Values: map[string][][]float64{}}
	for _, s := range sides {
		o.Values[s.name] = make([][]float64, len(e.figures))
	}
	rounds := b.size.Rounds
	if e.rounds > 0 {
		rounds = min(rounds, e.rounds)
	}
	for round := range rounds {
		o.Load = append(o.Load, loadAverage())
		took := func(s side, values []float64, d time.Duration) {
			o.add(s, values)
			say("%-9s round %d  %-8s %s  (%.1f s)", e.name, round+1, s.name, describe(e.figures, values), d.Seconds())
		}
		if err := b.round(ctx, e, rotated(sides, round), took); err != nil {
			return o, err
		}
	}
	return o, nil
}

// round measures each side once, in this order. What sides do by turns took all of them the
// same time.
func (b *bench) round(ctx context.Context, e experiment, sides []side, took func(side, []float64, time.Duration)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	if e.both != nil {
		values, err := e.both(ctx, b, sides)
		if err != nil {
			return fmt.Errorf("cannot measure %s: %w", e.name, err)
		}
		d := time.Since(start)
		for i, s := range sides {
			took(s, values[i], d)
		}
		return nil
	}
	for _, s := range sides {
		values, err := e.run(ctx, b, s)
		if err != nil {
			return fmt.Errorf("cannot measure %s of %s: %w", e.name, s.name, err)
		}
		took(s, values, time.Since(start))
		start = time.Now()
	}
	return nil
}

func rotated(sides []side, by int) []side {
	by %= len(sides)
	return slices.Concat(sides[by:], sides[:by])
}

// add takes a round's values in; a run may know more than is asked of it, or less: NaN is
// what a side has nothing of.
func (o *outcome) add(s side, values []float64) {
	for f := range o.Figures {
		if !math.IsNaN(values[f]) {
			o.Values[s.name][f] = append(o.Values[s.name][f], values[f])
		}
	}
}

func describe(figures []figure, values []float64) string {
	text := ""
	for i, f := range figures {
		text += fmt.Sprintf(" %s %s", number(values[i]), f.Unit)
	}
	return text
}
