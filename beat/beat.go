package beat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"crisper/beat/message"
)

// Record is what is known of an entry across leaders and restarts.
type Record struct {
	Last  time.Time // due moment of the last tick sent; when none was, first sight of the entry
	Count int64     // ticks sent (Celery's total_run_count)
}

// Tick is one due moment of one entry.
type Tick struct {
	Entry string
	Due   time.Time
	Count int64 // of the record after it
}

// Publication is a tick and its message, all gaps filled.
type Publication struct {
	Tick    Tick
	Message message.Message
}

// Outcome is what became of one publication.
type Outcome int

// Outcomes of publications.
const (
	Published Outcome = iota
	// Already: the record was not older than the tick; nothing was sent.
	Already
	// Unroutable: no queue takes the message (kombu would drop it); recorded, nothing was sent.
	Unroutable
)

// Fenced is returned to a leader whose token is smaller than one that the store
// has seen: another has led since. Nothing of the request was carried out.
type Fenced struct{ Stored uint64 }

func (e *Fenced) Error() string {
	return fmt.Sprintf("a leader with token %d has been here since", e.Stored)
}

// ErrUnavailable wraps failures of the broker or the store that may pass. Whether
// the request was carried out is unknown: it is repeated as it is.
var ErrUnavailable = errors.New("unavailable")

// Publisher sends ticks and keeps their records. Every method takes the token of
// the term and returns *Fenced when it is too small. One goroutine uses it.
type Publisher interface {
	// Register returns the records of the named entries, after giving those that
	// have none the record in fresh; records of other entries are dropped. A
	// stored record is never overwritten.
	Register(ctx context.Context, token uint64, fresh map[string]Record) (map[string]Record, error)
	// Publish sends the ticks in order, each at most once. The outcomes are in the
	// order of the batch.
	Publish(ctx context.Context, token uint64, batch []Publication) ([]Outcome, error)
	Close() error
}

// Waiter is a Publisher that may keep a request waiting before anything of it is done. When
// the term ends while it Waits, nothing is on its way that could be waited for.
type Waiter interface{ Waiting() bool }
