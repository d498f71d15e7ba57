// Package redislease keeps the record of an election in one Redis key.
//
// # Keys
//
//	crisper.lease.NAME   the record as JSON; no time to live
//
// The key does not expire, for two reasons. The token in it must never go back, and
// the time to live of a key goes by the server's wall clock: an hour's jump would
// hand the Lease to a second leader, or keep it from everybody for an hour. As with a
// Kubernetes Lease, a candidate takes over when it has itself seen no renewal for the
// holder's whole duration. The price: one that has only just started waits as long,
// even if the holder died before.
//
// # What it does not guarantee
//
// A Redis that loses writes (a restart without persistence, a fail-over to a replica
// that lags, FLUSHALL) forgets who leads. The leader's next renewal finds out, within
// a third of the duration, and ends the term; until then two may lead. The token
// grows all the same in every process that has seen the old one; otherwise the store
// refuses the new leader once and Raise puts it right.
package redislease

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"crisper/beat/lease/election"
	"crisper/beat/lease/internal/stored"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

//go:embed lua/write.lua
var writeSource string

var writeScript = redis.NewScript(writeSource)

// Backend is a lease.Backend.
type Backend struct {
	client redis.UniversalClient
	key    string
	own    bool
}

// New uses a client that the caller closes after it.
func New(client redis.UniversalClient, name string) *Backend {
	return &Backend{client: client, key: "crisper.lease." + name}
}

// Open makes a client of its own. It makes no retries: those are the election's, which
// measures from the start of an attempt.
func Open(opts redis.Options, name string) *Backend {
	opts.MaxRetries, opts.DialerRetries = -1, 1
	opts.ContextTimeoutEnabled = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // no questions beyond ours
	b := New(redis.NewClient(&opts), name)
	b.own = true
	return b
}

// Read returns the record.
func (b *Backend) Read(ctx context.Context) (election.Record, error) {
	text, err := b.client.Get(ctx, b.key).Result()
	if errors.Is(err, redis.Nil) {
		text, err = "", nil
	}
	if err != nil {
		return election.Record{}, b.explain("read", err)
	}
	r, _, err := stored.Decode(text)
	if err != nil {
		return r, election.Refuse("%v in %s", err, b)
	}
	return r, nil
}

// Write replaces the record.
func (b *Backend) Write(ctx context.Context, prev, next election.Record) (election.Record, error) {
	text, err := stored.Encode(next, false)
	if err != nil {
		return next, fmt.Errorf("cannot encode a record: %w", err)
	}
	n, err := writeScript.Run(ctx, b.client, []string{b.key}, prev.Version, text).Int()
	if err != nil {
		return next, b.explain("write", err)
	}
	if n == 0 {
		return next, fmt.Errorf("cannot write %s: %w", b, election.ErrConflict)
	}
	next.Version = text
	return next, nil
}

// explain tells refusals from what may pass.
func (b *Backend) explain(verb string, err error) error {
	for _, code := range []string{"NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE"} {
		if strings.HasPrefix(err.Error(), code) {
			return election.Refuse("cannot %s %s: %v", verb, b, err)
		}
	}
	return fmt.Errorf("cannot %s %s: %w", verb, b, err)
}

func (b *Backend) String() string { return "Redis key " + b.key }

// Close ends its own client.
func (b *Backend) Close() error {
	if !b.own {
		return nil
	}
	return b.client.Close()
}
