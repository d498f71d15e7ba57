package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"crisper/integration/bench/load"
)

// recyclePeriod is --max-tasks-per-child while the gap is measured.
const recyclePeriod = 20

// gap measures how long a recycled slot stands still: from the end of the old
// child's last task to the start of the new one's first, with work waiting. One
// slot, so that it is plain which child follows which.
func gap(ctx context.Context, b *bench, s side) ([]float64, error) {
	notes := b.bed.Path("notes")
	if err := b.clean(ctx); err != nil {
		return nil, err
	}
	n := recyclePeriod * (b.size.Recyclings + 1)
	if err := b.publish(ctx, "pulse", load.Messages(n)); err != nil {
		return nil, err
	}
	w, err := s.start(b, b.app(notes), words(fmt.Sprintf("-c 1 --max-tasks-per-child %d", recyclePeriod))...)
	if err != nil {
		return nil, err
	}
	defer stop(w)
	if err := b.counter.until(ctx, n); err != nil {
		return nil, err
	}
	lines, err := numbers(notes)
	if err != nil {
		return nil, err
	}
	gaps := gapsOf(lines)
	if len(gaps) < b.size.Recyclings/2 {
		return nil, fmt.Errorf("%d recyclings were to be seen and %d were", b.size.Recyclings, len(gaps))
	}
	return []float64{percentile(gaps, 50), percentile(gaps, 99)}, nil
}

// gapsOf reads "pid start end" lines: milliseconds between tasks where the pid
// changes.
func gapsOf(lines [][]int64) []float64 {
	slices.SortFunc(lines, func(a, b []int64) int { return cmp.Compare(a[1], b[1]) })
	var gaps []float64
	for i := 1; i < len(lines); i++ {
		if last, next := lines[i-1], lines[i]; last[0] != next[0] {
			gaps = append(gaps, float64(next[1]-last[2])/1e6)
		}
	}
	return gaps
}
