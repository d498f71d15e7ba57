package planner

import (
	"time"

	"crisper/beat"
)

// Event is something that happened. Past tense.
type Event interface{ event() }

// The events.
type (
	// Loaded begins a term: the app's entries, and the records that the store has of
	// them. An entry without one is seen for the first time: it counts from now.
	Loaded struct {
		Entries []Entry
		Records map[string]beat.Record
	}
	// Reloaded: the entries as they are from now on, all of them. Entries that were
	// there keep their records, the later of what is known here and what is given.
	Reloaded struct {
		Entries []Entry
		Records map[string]beat.Record
	}
	// Woke: the time of WakeAt has come.
	Woke struct{}
	// Published: the store carried the batch out; one outcome for each tick.
	Published struct{ Outcomes []beat.Outcome }
	// Failed: nobody knows whether the batch was carried out. It is offered again
	// after Retry.
	Failed struct{ Retry time.Duration }
	// Answered is what is_due said to the question Ask of that ID.
	Answered struct {
		ID     uint64
		Due    bool
		At     time.Time     // the due moment, if Due and Python can tell; zero: now
		Next   time.Duration // when to ask again: Celery's second value
		Failed bool          // it raised: asked again after MaxInterval
	}
)

func (Loaded) event()    {}
func (Reloaded) event()  {}
func (Woke) event()      {}
func (Published) event() {}
func (Failed) event()    {}
func (Answered) event()  {}

// Action is something to be done at the edge. Imperative.
type Action interface{ action() }

// The actions.
type (
	// Publish the ticks, in order. Answered by Published or Failed; until then there
	// is no other.
	Publish struct{ Ticks []beat.Tick }
	// Ask Python for is_due(Last) of the entry's schedule. Answered by Answered.
	Ask struct {
		ID    uint64
		Entry string
		Last  time.Time
	}
	// WakeAt replaces the one alarm.
	WakeAt struct{ At time.Time }
	// Skipped: due moments that will not be sent. Told once for each.
	Skipped struct {
		Entry  string
		N      int
		Reason Reason
	}
)

func (Publish) action() {}
func (Ask) action()     {}
func (WakeAt) action()  {}
func (Skipped) action() {}

// Reason is why due moments are not sent.
type Reason string

// Reasons.
const (
	Gap      Reason = "gap"      // longer than the window: made up by one tick
	Limit    Reason = "limit"    // more than Policy.Max
	Deadline Reason = "deadline" // older than beat_cron_starting_deadline
)
