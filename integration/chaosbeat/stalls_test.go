package main

import (
	"testing"
	"time"
)

func TestTimeInWhichTheMachineStoodStillIsCountedOnceAndOnlyWithinTheFault(t *testing.T) {
	at := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	ms := func(n int) time.Time { return at.Add(time.Duration(n) * time.Millisecond) }
	var s stalls
	s.woke(ms(5), ms(6)) // what any machine needs
	s.woke(ms(100), ms(300))
	s.woke(ms(305), ms(405))
	s.woke(ms(900), ms(1000))
	for _, each := range []struct{ from, to, want int }{
		{0, 90, 0}, {0, 2000, 400}, {200, 500, 200}, {350, 360, 10}, {405, 950, 50}, {1000, 2000, 0},
	} {
		if got := s.between(ms(each.from), ms(each.to)); got != time.Duration(each.want)*time.Millisecond {
			t.Errorf("between %d and %d: %s, not %d ms", each.from, each.to, got, each.want)
		}
	}
}

func TestWhatNoTrialAsksForAnyMoreIsForgotten(t *testing.T) {
	at := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	var s stalls
	s.woke(at, at.Add(time.Second))
	s.woke(at.Add(kept+2*time.Second), at.Add(kept+3*time.Second))
	if len(s.all) != 1 {
		t.Errorf("%d are kept", len(s.all))
	}
}
