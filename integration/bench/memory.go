package main

import (
	"context"

	"crisper/integration/bench/proctree"
)

// perChild measures the private memory that one more child costs, in MB: six
// children against two, after each has run tasks.
func perChild(ctx context.Context, b *bench, s side) ([]float64, error) {
	few, err := b.memory(ctx, s, 2)
	if err != nil {
		return nil, err
	}
	many, err := b.memory(ctx, s, 6)
	if err != nil {
		return nil, err
	}
	return []float64{float64(many.Private-few.Private) / 4 / 1e6}, nil
}

// wholePool measures the memory of a worker with four children, everything
// included, in MB of proportional set size.
func wholePool(ctx context.Context, b *bench, s side) ([]float64, error) {
	m, err := b.memory(ctx, s, 4)
	return []float64{float64(m.PSS) / 1e6}, err
}

func (b *bench) memory(ctx context.Context, s side, children int) (proctree.Memory, error) {
	w, err := b.fresh(ctx, s, b.bed.Path("notes"), children)
	if err != nil {
		return proctree.Memory{}, err
	}
	defer stop(w)
	return proctree.Measure(w.PID())
}
