package main

import (
	"math"
	"slices"
)

// spread is what several rounds gave.
type spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	return spread{slices.Min(values), percentile(values, 50), slices.Max(values)}
}

// percentile by nearest rank, except that the median of an even number is the
// mean of the middle two.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); p == 50 && n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// better is how many times better ours is, round by round: both sides of a round
// ran within the same minute, so that the noise of the machine cancels out.
func better(ours, theirs []float64, higherIsBetter bool) []float64 {
	n := min(len(ours), len(theirs))
	ratios := make([]float64, 0, n)
	for i := range n {
		up, down := ours[i], theirs[i]
		if !higherIsBetter {
			up, down = down, up
		}
		if down > 0 {
			ratios = append(ratios, up/down)
		}
	}
	return ratios
}
