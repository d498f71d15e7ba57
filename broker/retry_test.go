package broker

import (
	"testing"
	"time"
)

func TestPausesGrowAsCelerysSettingsSayAndShorterAfterALoss(t *testing.T) {
	r := DefaultRetry()
	for n, want := range map[int]time.Duration{1: 2 * time.Second, 2: 4 * time.Second, 15: 30 * time.Second, 99: 30 * time.Second} {
		if got := r.Pause(n, false); got != want {
			t.Errorf("try %d: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int]time.Duration{1: 50 * time.Millisecond, 3: 200 * time.Millisecond, 1000: 2 * time.Second} {
		if got := r.Pause(n, true); got != want {
			t.Errorf("try %d after a loss: %s, want %s", n, got, want)
		}
	}
	if r.GiveUp(100, false) || !r.GiveUp(101, false) || r.GiveUp(1000, true) || (Retry{OnStartup: true}).GiveUp(1000, false) {
		t.Error("gives up at the wrong time")
	}
}
