package broker

import "time"

// Retry says how connecting is tried again, in the words of Celery's settings. The
// caller drives it.
type Retry struct {
	Enabled    bool          // broker_connection_retry
	OnStartup  bool          // broker_connection_retry_on_startup
	MaxRetries int           // broker_connection_max_retries; 0: for ever
	Start      time.Duration // first pause
	Step       time.Duration // added with each further one
	Max        time.Duration // the longest
}

// DefaultRetry has the defaults of Celery's settings and of kombu's pauses.
func DefaultRetry() Retry {
	return Retry{Enabled: true, OnStartup: true, MaxRetries: 100, Start: 2 * time.Second, Step: 2 * time.Second, Max: 30 * time.Second}
}

// Fast pauses after a connection that had been made is lost.
const (
	fastFirst = 50 * time.Millisecond
	fastMax   = 2 * time.Second
)

// Pause is how long to wait after the nth failure in a row (from 1). A server
// that was reached before is expected back: waiting starts short, so that
// consuming goes on within two seconds of its return.
func (r Retry) Pause(n int, connectedBefore bool) time.Duration {
	if connectedBefore {
		limit := fastMax
		if r.Max > 0 {
			limit = min(limit, r.Max)
		}
		return min(fastFirst<<min(n-1, 10), limit)
	}
	d := r.Start + time.Duration(n-1)*r.Step
	if r.Max > 0 {
		d = min(d, r.Max)
	}
	return d
}

// GiveUp tells whether the nth failure in a row was the last. Celery's limits
// hold for the first connection; afterwards deliveries are in hand, and giving
// up would only hand them to another pod that has no broker either.
func (r Retry) GiveUp(n int, connectedBefore bool) bool {
	if connectedBefore {
		return !r.Enabled
	}
	return !r.OnStartup || (r.MaxRetries > 0 && n > r.MaxRetries)
}
