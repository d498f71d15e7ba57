package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPercentileIsByNearestRankAndTheMedianOfTwoIsTheirMean(t *testing.T) {
	for _, c := range []struct {
		values []float64
		p      float64
		want   float64
	}{
		{nil, 50, 0},
		{[]float64{7}, 99, 7},
		{[]float64{2, 1}, 50, 1.5},
		{[]float64{3, 1, 2}, 50, 2},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 99, 10},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 10, 1},
	} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("percentile(%v, %v) = %v, want %v", c.values, c.p, got, c.want)
		}
	}
}

func TestBetterComparesWithinARoundAndTurnsWhatShouldBeSmall(t *testing.T) {
	if diff := cmp.Diff([]float64{20, 30}, better([]float64{200, 300}, []float64{10, 10}, true)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{4}, better([]float64{1, 0}, []float64{4, 9}, false)); diff != "" {
		t.Error("a round without a value gives no ratio:", diff)
	}
}

func TestNumbersHaveThreeSignificantDigitsAndNoExponent(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 12345.6: "12346", 123.4: "123", 12.34: "12.3", 5: "5", 0.5: "0.5", 0.012345: "0.0123"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestAGapIsSeenWhereTheProcessChanges(t *testing.T) {
	lines := [][]int64{{2, 9e6, 10e6}, {1, 0, 2e6}, {1, 3e6, 5e6}, {2, 11e6, 12e6}}
	if diff := cmp.Diff([]float64{4}, gapsOf(lines)); diff != "" {
		t.Error(diff)
	}
}
