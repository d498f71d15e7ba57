package consumer

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestTasksOfARateStartEvenlySpaced(t *testing.T) {
	now := at(t, noon)
	b := NewBucket(now, 4)
	if !b.Take(now) || b.Take(now) || b.Take(now.Add(249*time.Millisecond)) {
		t.Error("a burst")
	}
	if !b.Take(now.Add(250 * time.Millisecond)) {
		t.Error("no token after its time")
	}
	// Idle time saves up one token and no more.
	later := now.Add(time.Hour)
	if !b.Take(later) || b.Take(later) {
		t.Error("tokens were saved up")
	}
}

func TestATokenIsThereWhenItWasPromised(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		now := at(t, noon)
		rate := []float64{0.01, 1.0 / 3, 1, 7, 999}[r.IntN(5)]
		b := NewBucket(now, rate)
		taken := 0
		for range 50 {
			now = now.Add(time.Duration(r.IntN(1000)) * time.Microsecond)
			if !b.Take(now) {
				now = b.Next(now)
				if !b.Take(now) {
					t.Fatalf("seed %d: none at the time that was named", seed)
				}
			}
			taken++
		}
		if most := 1 + rate*now.Sub(at(t, noon)).Seconds() + 1e-6; float64(taken) > most {
			t.Fatalf("seed %d: %d tokens of at most %f", seed, taken, most)
		}
	}
}

func TestLimitsOfATaskCanBeChanged(t *testing.T) {
	c := New(testConfig())
	if c.SetLimits("nobody", 1, 2) || !c.SetLimits("plain", 2*time.Second, 3*time.Second) {
		t.Error("not the right task")
	}
	m := message("plain", "")
	if got := c.Receive(at(t, noon), &m, 0); got != (Run{Soft: 2 * time.Second, Hard: 3 * time.Second}) {
		t.Errorf("%#v", got)
	}
	c.SetLimits("plain", 0, 0)
	if got := c.Receive(at(t, noon), &m, 0); got != (Run{Hard: time.Hour}) {
		t.Errorf("back to the worker's: %#v", got)
	}
}
