package leasetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"crisper/beat/lease"
)

// Turn is one term that was seen.
type Turn struct {
	Candidate string // the name that it was given here
	Term      lease.Term
	Begun     time.Time
}

// Field is a field of candidates for one Lease. It fails the test when a term begins
// while another is valid, and when a token does not grow.
type Field struct {
	t     testing.TB
	turns chan Turn

	mu   sync.Mutex
	last uint64
	live map[lease.Term]string
}

// NewField makes an empty one.
func NewField(t testing.TB) *Field {
	// More terms than any test has: a candidate does not wait for the test.
	return &Field{t: t, turns: make(chan Turn, 10_000), live: map[lease.Term]string{}}
}

// Candidate is one that runs.
type Candidate struct {
	Elector *lease.Elector
	Backend *Faulty
	Name    string

	stop     context.CancelFunc
	done     chan struct{}
	err      error
	resigned chan struct{} // the work returns when it gets one
}

// Start lets a candidate campaign.
func (f *Field) Start(name string, backend lease.Backend, opts lease.Options) *Candidate {
	f.t.Helper()
	return f.start(&Candidate{Name: name, Backend: NewFaulty(backend, uint64(len(name)))}, opts)
}

func (f *Field) start(c *Candidate, opts lease.Options) *Candidate {
	ctx, stop := context.WithCancel(context.Background())
	c.Elector = lease.New(c.Backend, opts)
	c.stop, c.done, c.resigned = stop, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(c.done)
		c.err = c.Elector.Run(ctx, func(ctx context.Context, term lease.Term) { f.lead(ctx, c, term) })
	}()
	f.t.Cleanup(func() {
		c.Kill()
		c.Backend.calls.Wait()
	})
	return c
}

func (f *Field) lead(ctx context.Context, c *Candidate, term lease.Term) {
	f.begin(c, term)
	select {
	case <-ctx.Done():
		if term.Valid() {
			f.t.Errorf("%s: the context of term %d has ended and it is valid", c.Name, term.Token)
		}
	case <-c.resigned:
	}
	f.mu.Lock()
	delete(f.live, term)
	f.mu.Unlock()
}

func (f *Field) begin(c *Candidate, term lease.Term) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for other, name := range f.live {
		if other.Valid() {
			f.t.Errorf("%s leads with token %d while %s does with %d", c.Name, term.Token, name, other.Token)
		}
	}
	if term.Token <= f.last {
		f.t.Errorf("%s leads with token %d after %d", c.Name, term.Token, f.last)
	}
	f.last = max(f.last, term.Token)
	f.live[term] = c.Name
	f.turns <- Turn{Candidate: c.Name, Term: term, Begun: time.Now()}
}

// Next waits for the next term.
func (f *Field) Next(within time.Duration) Turn {
	f.t.Helper()
	select {
	case turn := <-f.turns:
		return turn
	case <-time.After(within):
		f.t.Fatalf("no term began within %v", within)
		return Turn{}
	}
}

// None fails when a term begins.
func (f *Field) None(within time.Duration) {
	f.t.Helper()
	select {
	case turn := <-f.turns:
		f.t.Fatalf("%s leads with token %d", turn.Candidate, turn.Term.Token)
	case <-time.After(within):
	}
}

// Resign ends the work of the running term.
func (c *Candidate) Resign() { c.resigned <- struct{}{} }

// Stop ends the candidate as TERM does, and returns what Run did.
func (c *Candidate) Stop() error {
	c.stop()
	<-c.done
	return c.err
}

// Kill ends it as kill -9 does, as far as that can be done to a part of a process: from
// now on nothing of it reaches the record. It does not close the backend, so a file
// keeps its lock, as that of a process that is only stopped.
func (c *Candidate) Kill() {
	c.Backend.Set(Faults{Cut: fmt.Errorf("%s is dead", c.Name)})
	c.stop()
	<-c.done
}

// Cut is Kill without waiting for the goroutines to end.
func (c *Candidate) Cut() {
	c.Backend.Set(Faults{Cut: fmt.Errorf("%s is cut off", c.Name)})
}
