package ops

import (
	"fmt"
	"time"
)

const (
	// LoopLimit is how long the loop may be silent. It turns at least once in five
	// seconds, so ten are not a busy moment any more.
	LoopLimit = 10 * time.Second
	// DefaultStuckAfter is how long nothing may be started although there is
	// work, room and a connection. Long enough for a slow first import in every
	// child of a reloaded app.
	DefaultStuckAfter = 60 * time.Second
)

// Live says whether the process makes progress, and why. The broker and
// draining do not count: a restart mends neither.
func (h Health) Live(now time.Time, stuckAfter time.Duration) (bool, string) {
	if h.LoopAt.IsZero() {
		return true, "starting: the loop has not begun"
	}
	if silent := now.Sub(h.LoopAt); silent > LoopLimit {
		return false, fmt.Sprintf("not live: the loop last turned %s ago, the limit is %s", seconds(silent), LoopLimit)
	}
	if !h.StuckSince.IsZero() {
		if stuck := now.Sub(h.StuckSince); stuck > stuckAfter {
			return false, fmt.Sprintf("not live: there is work, room and a connection, but no task was started for %s, the limit is %s",
				seconds(stuck), stuckAfter)
		}
	}
	return true, "live: the loop turns"
}

// Ready says whether this worker takes tasks, and why not.
func (h Health) Ready() (bool, string) {
	switch {
	case !h.Started:
		return false, "not ready: starting"
	case h.Draining:
		return false, "not ready: draining"
	case !h.Broker:
		return false, "not ready: no connection to the broker"
	case h.ReadyText != "":
		return true, h.ReadyText
	}
	return true, "ready: takes tasks"
}

// Startup says whether the pool was ready once.
func (h Health) Startup() (bool, string) {
	if !h.Started {
		return false, "starting: the pool has not been ready yet"
	}
	return true, "started"
}

func seconds(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
