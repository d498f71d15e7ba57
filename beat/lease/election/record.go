package election

import (
	"errors"
	"fmt"
	"time"
)

// Record is the Lease as it was read, or as it is to be written.
type Record struct {
	Holder   string        // "" when nobody holds it
	Token    uint64        // of the last term; 0 before the first
	Duration time.Duration // how long after a change was seen the holder is left alone
	Renewed  time.Time     // by the holder's clock: for people to read, never compared
	Version  string        // another with every write; "" when there is no record
	Dead     bool          // the backend knows that the holder's process is gone
}

// Held tells whether anybody may be leading by this record.
func (r Record) Held() bool { return r.Holder != "" && !r.Dead }

// absent tells that nothing was ever written, or that it was deleted.
func (r Record) absent() bool { return r.Version == "" }

// ErrConflict is a backend's answer to a write that came too late: the record is
// no longer the one that the write was based on. Nothing was changed.
var ErrConflict = errors.New("the record has changed since it was read")

// Refusal is a backend's answer that will not pass by itself: a missing
// permission, a name that cannot be. Every other error may pass, and leaves open
// whether a write was carried out.
type Refusal struct{ Reason string }

func (e *Refusal) Error() string { return e.Reason }

// Refuse makes a Refusal.
func Refuse(format string, args ...any) error {
	return &Refusal{Reason: fmt.Sprintf(format, args...)}
}
