package main

import (
	"math"
	"slices"
	"time"
)

// spread is what several rounds gave.
type spread struct{ Min, Median, Max float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	return spread{slices.Min(values), percentile(values, 50), slices.Max(values)}
}

// percentile by nearest rank.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(int(math.Ceil(p/100*float64(len(sorted)))), 1)-1]
}

// ratios are how many times better ours is, round by round.
func ratios(ours, theirs []float64, higherIsBetter bool) []float64 {
	var all []float64
	for i := range min(len(ours), len(theirs)) {
		up, down := ours[i], theirs[i]
		if !higherIsBetter {
			up, down = down, up
		}
		if down > 0 {
			all = append(all, up/down)
		}
	}
	return all
}

// load is the schedule: entry n of count is due at Begin + n/count * spread.
type load struct {
	count  int
	begin  time.Time
	spread time.Duration
}

func (l load) due(n int) time.Time {
	return l.begin.Add(time.Duration(float64(n) / float64(l.count) * float64(l.spread)))
}

// lateness of the ticks that were due in a window, in ms. One that has not come is
// as late as the window's end, at least.
func (l load) lateness(came map[int]time.Time, from, until time.Time) []float64 {
	var all []float64
	for n := range l.count {
		due := l.due(n)
		if due.Before(from) || !due.Before(until) {
			continue
		}
		at, ok := came[n]
		if !ok || at.After(until) {
			at = until
		}
		all = append(all, float64(at.Sub(due))/float64(time.Millisecond))
	}
	return all
}

// within counts what came in a window.
func within(came map[int]time.Time, from, until time.Time) int {
	n := 0
	for _, at := range came {
		if !at.Before(from) && at.Before(until) {
			n++
		}
	}
	return n
}
