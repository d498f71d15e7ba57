package main

import (
	"strings"
	"testing"

	"crisper/integration/page"
)

func example() report {
	return report{Outcomes: []outcome{{
		Name:    "noop",
		Figures: []figure{{Title: "no-op `tasks`", Unit: "tasks/s", Higher: true, Goal: 20}},
		Values: map[string][][]float64{
			theirs: {{100, 200, 100}},
			ours:   {{2100, 4000, 2500}},
		},
	}}}
}

func TestTheTableComparesMediansOfRatiosWithTheGoal(t *testing.T) {
	row := example().table()[1]
	want := []string{"no-op `tasks`", "tasks/s", "100 (100–200)", "2500 (2100–4000)", "20 / **21** / 25", "≥ 20×", "yes"}
	if got := strings.Join(row, ";"); got != strings.Join(want, ";") {
		t.Errorf("got  %s\nwant %s", got, strings.Join(want, ";"))
	}
}

func TestAFigureWithoutAGoalIsNeitherReachedNorMissed(t *testing.T) {
	r := example()
	r.Outcomes[0].Figures[0].Goal = 0
	if row := r.table()[1]; row[5] != "" || row[6] != "" {
		t.Errorf("got %q and %q", row[5], row[6])
	}
}

func TestALimitIsTheLeastWhereHigherIsBetter(t *testing.T) {
	for _, c := range []struct {
		higher bool
		value  float64
		want   string
	}{{true, 0.8, "yes"}, {true, 0.7, "no"}, {false, 0.8, "no"}, {false, 0.7, "yes"}} {
		f := figure{Higher: c.higher, Limit: 0.75}
		if got := f.reached(spread{}, spread{Median: c.value}, true); got != c.want {
			t.Errorf("%v with higher=%v: %q, want %q", c.value, c.higher, got, c.want)
		}
	}
	if got := (figure{Higher: true, Limit: 0.75}).goal(); got != "≥ 0.75" {
		t.Errorf("the goal reads %q", got)
	}
}

func TestATerminalGetsNoMarkdown(t *testing.T) {
	if text := page.Plain(example().table()); strings.ContainsAny(text, "*`|") {
		t.Error(text)
	}
}
