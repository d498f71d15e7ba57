package leasetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"crisper/beat/lease"
)

// Faulty stands before a backend and fails on command. The zero Faults change nothing.
type Faulty struct {
	lease.Backend
	calls  sync.WaitGroup // under way, also those whose callers have left
	mu     sync.Mutex
	faults Faults
	rng    *rand.Rand
}

// Faults are the chances of what goes wrong with one call.
type Faults struct {
	Cut      error         // every call ends with this at once
	Hang     bool          // every call ends with its context
	LoseCall float64       // it never arrives
	LoseBack float64       // it is carried out, its answer lost
	Delay    time.Duration // at most, each way; a write goes on after its caller has left
}

// NewFaulty makes one that has no faults yet.
func NewFaulty(b lease.Backend, seed uint64) *Faulty {
	return &Faulty{Backend: b, rng: rand.New(rand.NewPCG(seed, 0))}
}

// Set replaces the faults.
func (f *Faulty) Set(faults Faults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = faults
}

// ErrLost is the answer that a lost call or answer ends with, if not its context.
var ErrLost = errors.New("connection reset")

// plan draws what becomes of a call.
func (f *Faulty) plan() (faults Faults, there, back time.Duration, lost, unheard bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	faults = f.faults
	if faults.Delay > 0 {
		there = time.Duration(f.rng.Int64N(int64(faults.Delay)))
		back = time.Duration(f.rng.Int64N(int64(faults.Delay)))
	}
	return faults, there, back, f.rng.Float64() < faults.LoseCall, f.rng.Float64() < faults.LoseBack
}

// Read is the backend's, with faults.
func (f *Faulty) Read(ctx context.Context) (lease.Record, error) {
	return f.through(ctx, func(ctx context.Context) (lease.Record, error) { return f.Backend.Read(ctx) })
}

// Write is the backend's, with faults.
func (f *Faulty) Write(ctx context.Context, prev, next lease.Record) (lease.Record, error) {
	return f.through(ctx, func(ctx context.Context) (lease.Record, error) { return f.Backend.Write(ctx, prev, next) })
}

type answer struct {
	record lease.Record
	err    error
}

func (f *Faulty) through(ctx context.Context, do func(context.Context) (lease.Record, error)) (lease.Record, error) {
	faults, there, back, lost, unheard := f.plan()
	switch {
	case faults.Cut != nil:
		return lease.Record{}, faults.Cut
	case faults.Hang:
		<-ctx.Done()
		return lease.Record{}, ctx.Err()
	case lost:
		return lease.Record{}, ErrLost
	}
	answers := make(chan answer, 1) // its reader may have left
	f.calls.Go(func() {
		time.Sleep(there)
		// As on a network, nothing calls it back once it is on its way.
		r, err := do(context.WithoutCancel(ctx))
		time.Sleep(back)
		answers <- answer{r, err}
	})
	select {
	case a := <-answers:
		if unheard {
			return lease.Record{}, ErrLost
		}
		return a.record, a.err
	case <-ctx.Done():
		return lease.Record{}, ctx.Err()
	}
}
