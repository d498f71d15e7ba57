package amqpbeat

import (
	"context"
	"errors"
	"time"
)

// ErrConflict: somebody else has written since the version was read. Nothing was
// changed.
var ErrConflict = errors.New("somebody else has written")

// Store keeps one text with compare-and-swap. Failures that may pass wrap
// beat.ErrUnavailable; whether a Swap took effect is then unknown. Those that will not
// pass wrap broker.ErrRefused.
type Store interface {
	// Load returns the text and its version; none yet: nil and "".
	Load(ctx context.Context) (text []byte, version string, err error)
	// Swap replaces the text if the version is still the current one, and returns the
	// new version.
	Swap(ctx context.Context, text []byte, version string) (string, error)
	Limits() Limits
}

// Limits of a store.
type Limits struct {
	Name  string        // of the kind of store, for people
	Bytes int           // of the text
	Pace  time.Duration // between the beginnings of two batches
}
