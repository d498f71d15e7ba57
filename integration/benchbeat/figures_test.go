package main

import (
	"slices"
	"testing"
	"time"
)

func TestATickThatHasNotComeIsAsLateAsTheWindowsEnd(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := load{count: 4, begin: begin, spread: 40 * time.Second} // due at 0, 10, 20, 30 s
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	came := map[int]time.Time{0: at(1), 1: at(12), 3: at(39)}
	if got := l.lateness(came, at(5), at(35)); !slices.Equal(got, []float64{2000, 15000, 5000}) {
		t.Errorf("got %v", got)
	}
	if got := within(came, at(5), at(35)); got != 1 {
		t.Errorf("%d came", got)
	}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	if got := ratios([]float64{2, 4}, []float64{20, 10}, false); !slices.Equal(got, []float64{10, 2.5}) {
		t.Errorf("got %v", got)
	}
	if got := ratios([]float64{150, 160}, []float64{30, 0}, true); !slices.Equal(got, []float64{5}) {
		t.Errorf("got %v", got)
	}
}

func TestPercentilesAreValuesThatOccurred(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	for p, want := range map[float64]float64{1: 1, 50: 3, 99: 5} {
		if got := percentile(values, p); got != want {
			t.Errorf("p%g is %g, not %g", p, got, want)
		}
	}
}
