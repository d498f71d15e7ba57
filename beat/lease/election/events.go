package election

import (
	"fmt"
	"time"
)

// Event is something that happened. The set is sealed.
type Event interface{ event() }

type (
	// Started is the first event.
	Started struct{}
	// Woke only tells the time.
	Woke struct{}
	// Answered brings the record that a Call to Look asked for.
	Answered struct{ Record Record }
	// Wrote says that a write was carried out, and how the record reads now.
	Wrote struct{ Record Record }
	// Conflicted says that a write was not carried out: the record has changed.
	Conflicted struct{}
	// Failed says that a call brought nothing; a write may have been carried out.
	// Refused is for answers that will not pass by themselves.
	Failed struct {
		Err     error
		Refused bool
	}
	// LeadReturned says that the work of the term has come to its end.
	LeadReturned struct{}
	// StopReceived says that this process is to end.
	StopReceived struct{}
)

func (Started) event()      {}
func (Woke) event()         {}
func (Answered) event()     {}
func (Wrote) event()        {}
func (Conflicted) event()   {}
func (Failed) event()       {}
func (LeadReturned) event() {}
func (StopReceived) event() {}

// Action is something to do. The set is sealed.
type Action interface{ action() }

// Purpose is what a call to the backend is for.
type Purpose uint8

// Purposes of calls.
const (
	None Purpose = iota
	Look
	Claim
	Renew
	Release
)

func (p Purpose) String() string {
	return [...]string{"none", "look", "claim", "renew", "release"}[p]
}

// Reason is why a term ended.
type Reason string

// Reasons for the end of a term.
const (
	Stopped      Reason = "stop"           // this process is to end
	Overdue      Reason = "renew_deadline" // no renewal succeeded in time
	Lost         Reason = "lost"           // the record names another, or is gone
	LeadFinished Reason = "lead_returned"  // the work of the term has ended by itself
)

type (
	// Call asks the backend; it brings exactly one event. At most one is under way.
	Call struct {
		Purpose    Purpose
		Prev, Next Record // for writes
		Timeout    time.Duration
	}
	// CancelCall ends the look that is under way: its answer is of no more use.
	CancelCall struct{}
	// BeginTerm starts the work of a term.
	BeginTerm struct {
		Token            uint64
		Deadline, Expiry time.Time
	}
	// ExtendTerm moves the end of the running term.
	ExtendTerm struct{ Deadline, Expiry time.Time }
	// EndTerm ends the context of the term. LeadReturned follows some time later,
	// or was the cause.
	EndTerm struct{ Reason Reason }
	// Report is for the log: no success at this since then.
	Report struct {
		Purpose Purpose
		Err     error
		Lasting time.Duration
	}
	// Recovered follows Reports.
	Recovered struct{ Lasting time.Duration }
	// Finish is the last action.
	Finish struct{ Err error }
)

func (Call) action()       {}
func (CancelCall) action() {}
func (BeginTerm) action()  {}
func (ExtendTerm) action() {}
func (EndTerm) action()    {}
func (Report) action()     {}
func (Recovered) action()  {}
func (Finish) action()     {}

// GaveUp ends a follower that had no answer for the time that it was given.
type GaveUp struct {
	After time.Duration
	Err   error // the last answer
}

func (e *GaveUp) Error() string {
	return fmt.Sprintf("cannot campaign: no success for %v: %v", e.After.Round(time.Second), e.Err)
}

func (e *GaveUp) Unwrap() error { return e.Err }
