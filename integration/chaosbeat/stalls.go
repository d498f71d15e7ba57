package main

import (
	"context"
	"sync"
	"time"
)

// stalls knows for how long the machine kept what wanted to run from running. It is a
// goroutine that asks to be woken every few milliseconds, and notes by how much that was late.
type stalls struct {
	mu  sync.Mutex
	all []stall // the oldest first
}

// stall is a time in which we should have run, and did not.
type stall struct{ from, to time.Time }

const (
	wakeEvery = 5 * time.Millisecond
	// least is what a machine at rest needs to wake us.
	least = 2 * time.Millisecond
	// kept is longer than any trial takes.
	kept = 2 * patience
)

// watch notes stalls until the context ends.
func (s *stalls) watch(ctx context.Context) {
	timer := time.NewTimer(wakeEvery)
	defer timer.Stop()
	for {
		wanted := time.Now().Add(wakeEvery)
		timer.Reset(wakeEvery)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			s.woke(wanted, time.Now())
		}
	}
}

// woke notes that we ran at a moment, and should have earlier.
func (s *stalls) woke(wanted, at time.Time) {
	if at.Sub(wanted) < least {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.all) > 0 && at.Sub(s.all[0].to) > kept {
		s.all = s.all[1:]
	}
	s.all = append(s.all, stall{wanted, at})
}

// between is how much of a time the machine stood still for us.
func (s *stalls) between(from, to time.Time) (sum time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, each := range s.all {
		begin, end := each.from, each.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		sum += max(0, end.Sub(begin))
	}
	return sum
}
