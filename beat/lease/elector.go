package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"crisper/beat/lease/election"

	"go.uber.org/zap"
)

// Elector campaigns for one candidate.
type Elector struct {
	backend Backend
	opts    Options
	floor   atomic.Uint64
	running atomic.Bool

	mu     sync.Mutex
	status Status // written by the loop of Run
}

// New makes a candidate. Options that are wrong make Run fail; see Options.Validate.
func New(backend Backend, opts Options) *Elector {
	opts = opts.withDefaults()
	return &Elector{backend: backend, opts: opts, status: Status{State: election.Following.String()}}
}

// Holder is the name of this candidate.
func (e *Elector) Holder() string { return e.opts.Holder }

// Raise makes the token of the next term at least min: a store has seen min-1, so
// the record of it must have been deleted. Called by the work of a term that was
// refused as too old, before it returns.
func (e *Elector) Raise(min uint64) {
	for {
		old := e.floor.Load()
		if min <= old || e.floor.CompareAndSwap(old, min) {
			return
		}
	}
}

// Status is what the candidate knows without asking: for pages and metrics.
type Status struct {
	State   string    // following, leading, ending, releasing, finished
	Token   uint64    // of our own term while leading or ending
	Leader  string    // as last seen; "" when nobody
	Seen    time.Time // when the backend last answered
	Trouble error     // why it does not answer; nil when it does
}

// Status does not wait for anything.
func (e *Elector) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

func (e *Elector) note(change func(*Status)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.status)
}

// Observation is what the record says.
type Observation struct {
	Held     bool // somebody has it, or had and has not given it back
	Holder   string
	Token    uint64 // of the last term
	Renewed  time.Time
	Duration time.Duration
}

// Until is when the term ends if it is not renewed, by the holder's clock, which
// may be wrong: for people to read.
func (o Observation) Until() time.Time { return o.Renewed.Add(o.Duration) }

// Observe asks who leads. It works with and without Run.
func (e *Elector) Observe(ctx context.Context) (Observation, error) {
	r, err := e.backend.Read(ctx)
	if err != nil {
		return Observation{}, fmt.Errorf("cannot read %s: %w", e.backend, err)
	}
	return Observation{Held: r.Held(), Holder: r.Holder, Token: r.Token, Renewed: r.Renewed, Duration: r.Duration}, nil
}

var errRunning = errors.New("cannot campaign twice at once")

// Run campaigns until ctx ends. It calls lead for each term, one at a time, and
// waits for it to return before it gives the Lease back and campaigns again. The
// context of a term ends before anybody else can hold the Lease, and when ctx does.
// Run returns nil after ctx has ended and the Lease was released, or why it cannot go
// on: wrong options, *Refusal, *GaveUp.
func (e *Elector) Run(ctx context.Context, lead func(ctx context.Context, term Term)) error {
	if err := e.opts.Validate(); err != nil {
		return fmt.Errorf("cannot campaign: %w", err)
	}
	if !e.running.CompareAndSwap(false, true) {
		return errRunning
	}
	defer e.running.Store(false)
	r := &run{
		Elector: e,
		ctx:     ctx,
		lead:    lead,
		machine: election.New(e.opts.config()),
		log:     e.opts.Log.With(zap.String("lease", e.backend.String()), zap.String("holder", e.opts.Holder)),
		events:  make(chan election.Event, mostEvents),
	}
	return r.loop()
}
