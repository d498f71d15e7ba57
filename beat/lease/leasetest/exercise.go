package leasetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"crisper/beat/lease"
)

// Bed is one Lease that nobody has used.
type Bed struct {
	Open   func(t testing.TB) lease.Backend // a process' own backend for it
	Delete func(t testing.TB)               // removes the record

	storm time.Duration // how long faults are made
}

// Quick are options for tests in real time.
func Quick() lease.Options {
	return lease.Options{LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 250 * time.Millisecond}
}

// slack is for a machine that does something else: a bound that is promised has it
// already, others get it.
const slack = 2 * time.Second

// Exercise runs the suite; bed makes a new Lease for each test.
func Exercise(t *testing.T, bed func(t *testing.T) Bed) {
	for name, test := range suite {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			b := bed(t)
			b.storm = 8 * time.Second
			test(t, b)
		})
	}
}

// ExerciseInBubbles runs it in no time, for backends that wait for nothing but other
// goroutines and time.
func ExerciseInBubbles(t *testing.T, bed func(t *testing.T) Bed) {
	for name, test := range suite {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bed(t)
				b.storm = 5 * time.Minute
				test(t, b)
			})
		})
	}
}

var suite = map[string]func(*testing.T, Bed){
	"A write that is based on an old record is a conflict": staleWrites,
	"Of many who claim at once one wins":                   oneWins,
	"A record is read as it was written":                   roundTrip,
	"A call ends with its context":                         endsWithContext,
	"The first candidate leads at once":                    firstLeads,
	"A leader who renews keeps the Lease":                  keeps,
	"After a release the next one leads within a second":   release,
	"After a crash the next one leads within the duration": crash,
	"A candidate restarted in place leads a new term":      restartInPlace,
	"Who comes back after a stall finds his term ended":    stall,
	"A deleted record ends the term and tokens go on":      deleted,
	"A raised token is the next one":                       raised,
	"Work that returns leaves the Lease to another":        resign,
	"Faults of every kind never make two leaders":          storm,
}

func staleWrites(t *testing.T, bed Bed) {
	ctx := t.Context()
	a, b := bed.Open(t), bed.Open(t)
	first := write(t, a, lease.Record{}, lease.Record{Holder: "a", Token: 1, Duration: time.Minute})
	if _, err := b.Write(ctx, lease.Record{}, lease.Record{Holder: "b", Token: 1}); !errors.Is(err, lease.ErrConflict) {
		t.Errorf("a second first record: %v", err)
	}
	second := write(t, a, first, lease.Record{Holder: "a", Token: 1, Duration: time.Minute, Renewed: time.Now()})
	if second.Version == first.Version {
		t.Errorf("a renewal does not show: version %q", second.Version)
	}
	for _, w := range []lease.Backend{a, b} {
		read(t, w)
		if _, err := w.Write(ctx, first, lease.Record{Holder: "b", Token: 2}); !errors.Is(err, lease.ErrConflict) {
			t.Errorf("a write based on the first record: %v", err)
		}
	}
	if now := read(t, b); now.Holder != "a" || now.Version != second.Version {
		t.Errorf("the record is %+v", now)
	}
}

func oneWins(t *testing.T, bed Bed) {
	var won sync.Map
	var group sync.WaitGroup
	for i := range 8 {
		backend := bed.Open(t)
		group.Go(func() {
			_, err := backend.Write(context.Background(), lease.Record{}, lease.Record{Holder: string(rune('a' + i)), Token: 1, Duration: time.Minute})
			switch {
			case err == nil:
				won.Store(i, true)
			case !errors.Is(err, lease.ErrConflict):
				t.Error(err)
			}
		})
	}
	group.Wait()
	winners := 0
	won.Range(func(any, any) bool { winners++; return true })
	if winners != 1 {
		t.Errorf("%d won", winners)
	}
}

func roundTrip(t *testing.T, bed Bed) {
	a, b := bed.Open(t), bed.Open(t)
	if r := read(t, a); r.Held() || r.Version != "" || r.Token != 0 {
		t.Errorf("a record that was never written: %+v", r)
	}
	now := time.Now()
	written := write(t, a, lease.Record{}, lease.Record{Holder: "host_1", Token: 1 << 40, Duration: 7 * time.Second, Renewed: now})
	got := read(t, b)
	if got.Holder != "host_1" || got.Token != 1<<40 || got.Duration != 7*time.Second || got.Version != written.Version {
		t.Errorf("read %+v, wrote %+v", got, written)
	}
	if d := got.Renewed.Sub(now).Abs(); d > time.Millisecond {
		t.Errorf("renewed %v, not %v", got.Renewed, now)
	}
	write(t, b, got, lease.Record{Token: got.Token, Renewed: time.Now()})
	if r := read(t, a); r.Held() || r.Token != 1<<40 {
		t.Errorf("released: %+v", r)
	}
}

func endsWithContext(t *testing.T, bed Bed) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := bed.Open(t)
	if _, err := b.Write(ctx, lease.Record{}, lease.Record{Holder: "a", Token: 1}); err == nil || errors.Is(err, lease.ErrConflict) {
		t.Errorf("a write without time: %v", err)
	}
}

func firstLeads(t *testing.T, bed Bed) {
	f := NewField(t)
	c := f.Start("a", bed.Open(t), Quick())
	turn := f.Next(slack)
	seen, err := c.Elector.Observe(t.Context())
	if err != nil || !seen.Held || seen.Holder != c.Elector.Holder() || seen.Token != turn.Term.Token {
		t.Errorf("observed %+v, %v", seen, err)
	}
	if s := c.Elector.Status(); s.State != "leading" || s.Token != turn.Term.Token || s.Leader != seen.Holder {
		t.Errorf("status %+v", s)
	}
}

func keeps(t *testing.T, bed Bed) {
	f := NewField(t)
	f.Start("a", bed.Open(t), Quick())
	turn := f.Next(slack)
	f.Start("b", bed.Open(t), Quick())
	f.None(2 * Quick().LeaseDuration)
	if !turn.Term.Valid() {
		t.Error("the term has ended")
	}
}

func release(t *testing.T, bed Bed) {
	f := NewField(t)
	a := f.Start("a", bed.Open(t), Quick())
	f.Next(slack)
	b := f.Start("b", bed.Open(t), Quick())
	await(t, "b follows", func() bool { return b.Elector.Status().Leader == a.Elector.Holder() })
	begun := time.Now()
	if err := a.Stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	turn := f.Next(time.Second)
	t.Logf("b leads %v after the other was stopped", turn.Begun.Sub(begun))
	if err := b.Stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if r := read(t, bed.Open(t)); r.Held() {
		t.Errorf("after both were stopped: %+v", r)
	}
}

func crash(t *testing.T, bed Bed) {
	f := NewField(t)
	a := f.Start("a", bed.Open(t), Quick())
	term := f.Next(slack).Term
	b := f.Start("b", bed.Open(t), Quick())
	await(t, "b follows", func() bool { return b.Elector.Status().Leader == a.Elector.Holder() })
	killed := time.Now()
	a.Kill()
	turn := f.Next(Quick().LeaseDuration + 2*time.Second)
	t.Logf("b leads %v after the other was killed", turn.Begun.Sub(killed))
	if turn.Begun.Before(term.Deadline()) {
		t.Errorf("b leads %v before the deadline of the other", term.Deadline().Sub(turn.Begun))
	}
}

func restartInPlace(t *testing.T, bed Bed) {
	f := NewField(t)
	a := f.Start("a", bed.Open(t), Quick())
	first := f.Next(slack)
	a.Kill()
	again := f.Start("a", bed.Open(t), Quick())
	second := f.Next(Quick().LeaseDuration + slack)
	if again.Elector.Holder() == a.Elector.Holder() {
		t.Error("the new process has the name of the old one")
	}
	if second.Term.Token <= first.Term.Token {
		t.Errorf("token %d after %d", second.Term.Token, first.Term.Token)
	}
}

func stall(t *testing.T, bed Bed) {
	f := NewField(t)
	a := f.Start("a", bed.Open(t), Quick())
	first := f.Next(slack)
	f.Start("b", bed.Open(t), Quick())
	a.Backend.Set(Faults{Hang: true})
	second := f.Next(Quick().LeaseDuration + slack)
	if first.Term.Valid() || second.Candidate != "b" {
		t.Errorf("%s leads; the first term is valid: %v", second.Candidate, first.Term.Valid())
	}
	a.Backend.Set(Faults{})
	await(t, "a follows", func() bool { s := a.Elector.Status(); return s.Leader == second.Term.Holder && s.Trouble == nil })
	f.None(Quick().LeaseDuration)
}

func deleted(t *testing.T, bed Bed) {
	f := NewField(t)
	f.Start("a", bed.Open(t), Quick())
	first := f.Next(slack)
	bed.Delete(t)
	second := f.Next(Quick().LeaseDuration/3 + slack)
	if second.Term.Token <= first.Term.Token {
		t.Errorf("token %d after %d", second.Term.Token, first.Term.Token)
	}
}

func raised(t *testing.T, bed Bed) {
	const seen = 1 << 33 // more than spec.leaseTransitions can say
	f := NewField(t)
	a := f.Start("a", bed.Open(t), Quick())
	f.Next(slack)
	a.Elector.Raise(seen + 1)
	a.Resign()
	if turn := f.Next(slack); turn.Term.Token != seen+1 {
		t.Errorf("the next token is %d", turn.Term.Token)
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	f.Start("b", bed.Open(t), Quick())
	if turn := f.Next(slack); turn.Term.Token != seen+2 {
		t.Errorf("another one's token is %d", turn.Term.Token)
	}
}

func resign(t *testing.T, bed Bed) {
	f := NewField(t)
	a := f.Start("a", bed.Open(t), Quick())
	f.Next(slack)
	b := f.Start("b", bed.Open(t), Quick())
	await(t, "b follows", func() bool { return b.Elector.Status().Leader == a.Elector.Holder() })
	a.Resign()
	if turn := f.Next(time.Second); turn.Candidate != "b" {
		t.Errorf("%s leads", turn.Candidate)
	}
}

// storm: the checks are those of the Field.
func storm(t *testing.T, bed Bed) {
	f := NewField(t)
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "bb", "ccc"}
	seats := map[string]*Candidate{}
	for _, name := range names {
		seats[name] = f.Start(name, bed.Open(t), Quick())
	}
	for end := time.Now().Add(bed.storm); time.Now().Before(end); {
		name := names[rng.IntN(len(names))]
		c := seats[name]
		switch rng.IntN(4) {
		case 0:
			c.Kill()
			seats[name] = f.Start(name, bed.Open(t), Quick())
		case 1:
			_ = c.Stop()
			seats[name] = f.Start(name, bed.Open(t), Quick())
		case 2:
			c.Backend.Set(Faults{Hang: true})
		case 3:
			c.Backend.Set(Faults{LoseCall: 0.2, LoseBack: 0.2, Delay: 300 * time.Millisecond})
		}
		// The faults are to last for a while.
		time.Sleep(time.Duration(rng.IntN(600)) * time.Millisecond)
		if rng.IntN(3) > 0 {
			c.Backend.Set(Faults{})
		}
	}
	for _, c := range seats {
		c.Backend.Set(Faults{})
	}
	await(t, "one leads again", func() bool {
		leading := 0
		for _, c := range seats {
			if c.Elector.Status().State == "leading" {
				leading++
			}
		}
		return leading == 1
	})
	t.Logf("the storm saw %d terms", len(f.turns))
}

func read(t testing.TB, b lease.Backend) lease.Record {
	t.Helper()
	r, err := b.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t testing.TB, b lease.Backend, prev, next lease.Record) lease.Record {
	t.Helper()
	r, err := b.Write(t.Context(), prev, next)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// await polls, for the states of an elector are not events.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("it never came true: %s", what)
}
