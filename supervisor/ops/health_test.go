package ops

import (
	"strings"
	"testing"
	"time"
)

func TestLivenessIsJudgedByProgress(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, test := range []struct {
		name   string
		health Health
		live   bool
		why    string
	}{
		{"before the loop began", Health{}, true, "starting"},
		{"the loop turns", Health{LoopAt: ago(time.Second)}, true, "live"},
		{"the loop is at its limit", Health{LoopAt: ago(LoopLimit)}, true, "live"},
		{"the loop is silent", Health{LoopAt: ago(LoopLimit + time.Second)}, false, "last turned 11s ago"},
		{"nothing is started for a while", Health{LoopAt: now, StuckSince: ago(59 * time.Second)}, true, "live"},
		{"nothing is started for too long", Health{LoopAt: now, StuckSince: ago(61 * time.Second)}, false, "no task was started for 1m1s"},
		{"the broker is away", Health{LoopAt: now, Started: true}, true, "live"},
		{"draining", Health{LoopAt: now, Started: true, Draining: true}, true, "live"},
	} {
		t.Run(test.name, func(t *testing.T) {
			live, why := test.health.Live(now, DefaultStuckAfter)
			if live != test.live || !strings.Contains(why, test.why) {
				t.Errorf("live %v, %q; want %v, %q", live, why, test.live, test.why)
			}
		})
	}
}

func TestReadinessIsStartedConnectedAndNotDraining(t *testing.T) {
	for _, test := range []struct {
		name   string
		health Health
		ready  bool
		why    string
	}{
		{"starting", Health{Broker: true}, false, "starting"},
		{"no broker", Health{Started: true}, false, "broker"},
		{"draining", Health{Started: true, Broker: true, Draining: true}, false, "draining"},
		{"all is well", Health{Started: true, Broker: true}, true, "takes tasks"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ready, why := test.health.Ready()
			if ready != test.ready || !strings.Contains(why, test.why) {
				t.Errorf("ready %v, %q; want %v, %q", ready, why, test.ready, test.why)
			}
		})
	}
}
