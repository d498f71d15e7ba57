package lease

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"crisper/beat/lease/election"
)

// ErrTermEnded is the cause of a term's context that has ended; the error that
// wraps it has the reason.
var ErrTermEnded = errors.New("the term has ended")

// Term is one period of leading.
type Term struct {
	Token  uint64 // grows with every term, whoever holds it
	Holder string

	times *times
}

// times are written by the elector's loop and read by the work.
type times struct {
	start            time.Time // what the others are measured from, with its monotonic reading
	deadline, expiry atomic.Int64
	ended            atomic.Bool
}

func (t *times) set(deadline, expiry time.Time) {
	t.expiry.Store(int64(expiry.Sub(t.start)))
	t.deadline.Store(int64(deadline.Sub(t.start)))
}

// over is right even when nothing of this process ran for a while, and the timer
// that ends the context has not fired yet.
func (t *times) over() bool {
	return t.ended.Load() || time.Since(t.start) >= time.Duration(t.deadline.Load())
}

// Valid tells whether the term goes on, by the clock: a process that was stopped for
// longer than the Lease learns it here before its context is closed. Between the
// question and what is then done time passes: only the store that checks the token
// can rule out that another leads by then. A Term made by hand is always valid.
func (t Term) Valid() bool { return t.times == nil || !t.times.over() }

// Deadline is when the term ends unless it is renewed.
func (t Term) Deadline() time.Time {
	if t.times == nil {
		return time.Time{}
	}
	return t.times.start.Add(time.Duration(t.times.deadline.Load()))
}

// Expiry is the moment before which nobody else can hold the Lease, unless the work
// returns before and it is released. What the token does not protect, such as a
// child process, must have ended by then.
func (t Term) Expiry() time.Time {
	if t.times == nil {
		return time.Time{}
	}
	return t.times.start.Add(time.Duration(t.times.expiry.Load()))
}

// termContext answers by the clock as well: whoever asks Err before acting is not
// misled by a timer that is late.
type termContext struct {
	context.Context
	times *times
	end   context.CancelCauseFunc
}

func newTermContext(parent context.Context, t *times) *termContext {
	ctx, end := context.WithCancelCause(parent)
	return &termContext{Context: ctx, times: t, end: end}
}

func (c *termContext) Err() error {
	if c.times.over() {
		c.close(election.Overdue)
	}
	return c.Context.Err()
}

func (c *termContext) close(why election.Reason) {
	c.times.ended.Store(true)
	c.end(fmt.Errorf("%w: %s", ErrTermEnded, why))
}
