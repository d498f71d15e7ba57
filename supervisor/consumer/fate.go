package consumer

import "time"

// Fate is what becomes of a delivery.
type Fate interface{ fate() }

// The fates.
type (
	// Run it as soon as a child is free. Late: it is acknowledged when it has
	// ended, not when it starts. Limits are 0 for none.
	Run struct {
		Soft, Hard time.Duration
		Late       bool
	}
	// Wait for its ETA, then Run.
	Wait struct {
		Run   Run
		Until time.Time
	}
	// Expired: ack; the steward records it as revoked, reason "expired".
	Expired struct{ At time.Time }
	// Revoked: ack; the steward records it as revoked. By names the
	// stamp, empty when it was the id.
	Revoked struct{ By string }
	// Unknown: the task is not registered. Reject; the steward records the failure.
	Unknown struct{ Task string }
	// Unroutable: nothing in it names a task. Reject.
	Unroutable struct{ Reason string }
	// Undecodable: ack, as Celery does, so that it makes no circles.
	Undecodable struct{ Reason string }
	// Invalid: reject; the steward tells.
	Invalid struct{ Reason string }
	// Poisoned: it killed too many children. Park; the steward records the failure.
	Poisoned struct{ Deaths, Limit int }
)

func (Run) fate()         {}
func (Wait) fate()        {}
func (Expired) fate()     {}
func (Revoked) fate()     {}
func (Unknown) fate()     {}
func (Unroutable) fate()  {}
func (Undecodable) fate() {}
func (Invalid) fate()     {}
func (Poisoned) fate()    {}
