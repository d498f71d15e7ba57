package ledger

import (
	"time"

	"crisper/broker"
)

// Seq is our number of a delivery; it never repeats in the life of a ledger
// and is the seq of the frames that carry the task.
type Seq uint64

// Child identifies a child process (pool.ChildID).
type Child uint64

// Place is where a delivery is.
type Place uint8

// The places.
const (
	Nowhere   Place = iota
	Reserved        // in our hands, waiting for a free child
	Scheduled       // in our hands, waiting for its time
	Accepting       // promised to a child; the broker is being told that it starts
	Queued          // lying in a child's socket, not begun
	Active          // begun by a child
	Reporting       // its child died; the steward records what became of it
	Settling        // the broker is being told the verdict
	places
)

var placeNames = [places]string{
	"nowhere", "reserved", "scheduled", "accepting", "queued", "active", "reporting", "settling",
}

func (p Place) String() string { return placeNames[p] }

// Entry is one delivery in our books. Fields are written by the Ledger only,
// except Data, which belongs to the caller.
type Entry[T any] struct {
	Seq      Seq
	Delivery broker.Delivery
	Place    Place
	Child    Child // while Accepting, Queued or Active
	// Early: acknowledged when it starts, so it must be Accepted before.
	Early bool
	// Accepted: the broker knows that nobody may run it again if we die.
	Accepted bool
	// Lost: the broker gave it to somebody else; settle nothing.
	Lost bool
	Due  time.Time // while Scheduled
	Verb broker.Verb
	Data T

	heapAt int // index in the schedule, while Scheduled
}
