package ops

import (
	"fmt"
	"time"
)

// Health is what the probes are answered from, a copy.
type Health struct {
	LoopAt      time.Time // when the process last turned
	Loaded      bool
	Campaigning bool
	Stopping    bool
	Leading     bool
	Token       uint64
	Leader      string
	Cold        bool        // celery beat is still being imported
	Term        *TermHealth // nil: no term, or one of a child
}

// TermHealth is what a term leaves at each turn.
type TermHealth struct {
	At        time.Time
	Connected bool          // the broker has answered the last request
	Overdue   time.Duration // of the oldest tick that was offered and not settled
}

const (
	// loopLimit is how long a loop may be silent. Both turn once a second.
	loopLimit = 10 * time.Second
	// overdueLimit is how late a tick may be although the broker answers.
	overdueLimit = time.Minute
)

// Live says whether a restart would help, and why.
func (h Health) Live(now time.Time) (bool, string) {
	if silent := now.Sub(h.LoopAt); silent > loopLimit {
		return false, fmt.Sprintf("not live: the loop last turned %s ago, the limit is %s", seconds(silent), loopLimit)
	}
	if h.Term == nil || h.Stopping {
		return true, "live: the loop turns"
	}
	silent := now.Sub(h.Term.At)
	if silent > loopLimit {
		return false, fmt.Sprintf("not live: the term's loop last turned %s ago, the limit is %s", seconds(silent), loopLimit)
	}
	if late := h.Term.Overdue + silent; h.Term.Overdue > 0 && h.Term.Connected && late > overdueLimit {
		return false, fmt.Sprintf("not live: leads, the broker answers, and a tick is overdue by %s, the limit is %s", seconds(late), overdueLimit)
	}
	return true, "live: the loop turns"
}

// Ready says whether this replica leads or could, and why not.
func (h Health) Ready() (bool, string) {
	switch {
	case h.Stopping:
		return false, "not ready: stopping"
	case !h.Loaded:
		return false, "not ready: the app is being loaded"
	case !h.Campaigning:
		return false, "not ready: the campaign has not begun"
	case h.Cold:
		return false, "not ready: celery beat is being loaded"
	case h.Leading:
		return true, fmt.Sprintf("ready: leads, term %d", h.Token)
	case h.Leader == "":
		return true, "ready: follows, nobody leads yet"
	}
	return true, "ready: follows " + h.Leader
}

// Startup says whether the app was loaded once.
func (h Health) Startup() (bool, string) {
	if !h.Loaded {
		return false, "starting: the app is being loaded"
	}
	return true, "started"
}

func seconds(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
