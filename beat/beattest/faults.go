package beattest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"crisper/beat"
)

var faultCases = []testCase{
	{"what a lost answer has sent counts as sent, once", lostAnswer},
	{"a registration whose answer was lost is repeated", lostRegistration},
	{"a broker that is away is reported in time, and what was due is sent after its return", away},
	{"a half-open connection is noticed by the next call", halfOpen},
	{"a call ends with its context though nothing answers", cancelled},
	{"random faults and leaders: no tick is missed, none is doubled", random},
}

func breakable(t *testing.T, w World) Breakable {
	t.Helper()
	b, ok := w.(Breakable)
	if !ok {
		t.Skip("this world has no faults")
	}
	return b
}

func mustBeUnavailable(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, beat.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
}

// eventually repeats a request as it is, as its owner does.
func eventually[T any](t *testing.T, do func() (T, error)) T {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		result, err := do()
		if err == nil {
			return result
		}
		if !errors.Is(err, beat.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatalf("repeated request: %v", err)
		}
		time.Sleep(20 * time.Millisecond) // the owner's back-off
	}
}

// checkOnce: each of want is there, in order; copies only where there is a reason.
func checkOnce(t *testing.T, reason string, got []string, want ...string) {
	t.Helper()
	copies := map[string]int{}
	var firsts []string
	for _, id := range got {
		if copies[id]++; copies[id] == 1 {
			firsts = append(firsts, id)
		}
	}
	equal(t, "sent", firsts, want...)
	for id, n := range copies {
		if n > 1 && reason == "" {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
}

func lostAnswer(t *testing.T, w World, h Harness) {
	b := breakable(t, w)
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e", "f"))
	mustPublish(t, p, 1, Tick("q", "e", 1)) // the connection stands
	heal := b.LoseAnswers(t)
	batch := append(Ticks("q", "e", 2, 4), Tick("q", "f", 3))
	_, err := p.Publish(t.Context(), 1, batch)
	mustBeUnavailable(t, err)
	heal()
	outcomes := eventually(t, func() ([]beat.Outcome, error) { return p.Publish(t.Context(), 1, batch) })
	equal(t, "outcomes", outcomes, beat.Published, beat.Published, beat.Published, beat.Published)
	equal(t, "once more", mustPublish(t, p, 1, batch...), beat.Already, beat.Already, beat.Already, beat.Already)
	checkOnce(t, h.Doubles, w.Sent(t, "q"), append([]string{TaskID("e", At(1))}, ids(batch)...)...)
}

func lostRegistration(t *testing.T, w World, _ Harness) {
	b := breakable(t, w)
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("x"))
	heal := b.LoseAnswers(t)
	_, err := p.Register(t.Context(), 2, map[string]beat.Record{"e": {Last: At(1)}})
	heal()
	if err == nil {
		t.Skip("registering does not ask what is broken here")
	}
	mustBeUnavailable(t, err)
	known := eventually(t, func() (map[string]beat.Record, error) {
		return p.Register(t.Context(), 2, map[string]beat.Record{"e": {Last: At(2)}})
	})
	if last := known["e"].Last; !last.Equal(At(1)) && !last.Equal(At(2)) {
		t.Fatalf("records %+v", known)
	}
}

func away(t *testing.T, w World, h Harness) {
	b := breakable(t, w)
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e"))
	mustPublish(t, p, 1, Tick("q", "e", 1))
	heal := b.Cut(t)
	for range 3 {
		began := time.Now()
		_, err := p.Publish(t.Context(), 1, Ticks("q", "e", 2, 3))
		mustBeUnavailable(t, err)
		if took := time.Since(began); took > h.CallTimeout+2*time.Second {
			t.Fatalf("reported after %v", took)
		}
	}
	heal()
	eventually(t, func() ([]beat.Outcome, error) { return p.Publish(t.Context(), 1, Ticks("q", "e", 2, 3)) })
	checkOnce(t, h.Doubles, w.Sent(t, "q"), ids(Ticks("q", "e", 1, 3))...)
}

func halfOpen(t *testing.T, w World, h Harness) {
	b := breakable(t, w)
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e"))
	mustPublish(t, p, 1, Tick("q", "e", 1))
	heal := b.HalfOpen(t)
	began := time.Now()
	_, err := p.Publish(t.Context(), 1, Ticks("q", "e", 2, 3))
	mustBeUnavailable(t, err)
	if took := time.Since(began); took > h.CallTimeout+2*time.Second {
		t.Fatalf("noticed after %v", took)
	}
	heal()
	eventually(t, func() ([]beat.Outcome, error) { return p.Publish(t.Context(), 1, Ticks("q", "e", 2, 3)) })
	checkOnce(t, h.Doubles, w.Sent(t, "q"), ids(Ticks("q", "e", 1, 3))...)
}

func cancelled(t *testing.T, w World, h Harness) {
	b := breakable(t, w)
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e"))
	mustPublish(t, p, 1, Tick("q", "e", 1))
	heal := b.HalfOpen(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := p.Publish(ctx, 1, Ticks("q", "e", 2, 2))
	mustBeUnavailable(t, err)
	if took := time.Since(began); took > 2*time.Second {
		t.Fatalf("returned after %v", took)
	}
	heal()
	eventually(t, func() ([]beat.Outcome, error) { return p.Publish(t.Context(), 1, Ticks("q", "e", 2, 2)) })
	checkOnce(t, h.Doubles, w.Sent(t, "q"), ids(Ticks("q", "e", 1, 2))...)
}

// leader is one replica of the random test, as naive as a leader may be.
type leader struct {
	p     beat.Publisher
	token uint64
	next  int // second of the next tick
	ready bool
}

// step registers or publishes some ticks; what fails is repeated as it is later.
func (l *leader) step(t *testing.T, r *rand.Rand, until int) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if !l.ready {
		known, err := l.p.Register(ctx, l.token, seen("e"))
		if err == nil {
			l.ready, l.next = true, int(known["e"].Last.Sub(Start)/time.Second)+1
		}
		check(t, err)
		return
	}
	last := min(until, l.next+r.IntN(3))
	if last < l.next {
		return
	}
	_, err := l.p.Publish(ctx, l.token, Ticks("q", "e", l.next, last))
	if err == nil {
		l.next = last + 1
	}
	check(t, err)
}

func check(t *testing.T, err error) {
	t.Helper()
	var f *beat.Fenced
	if err != nil && !errors.As(err, &f) && !errors.Is(err, beat.ErrUnavailable) {
		t.Fatalf("unexpected error: %v", err)
	}
}

func random(t *testing.T, w World, h Harness) {
	b := breakable(t, w)
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // chance for tests
	faults := []func(testing.TB) func(){b.LoseAnswers, b.Cut, b.HalfOpen}
	leaders := []*leader{{p: w.Connect(t)}, {p: w.Connect(t)}, {p: w.Connect(t)}}
	token := uint64(0)
	const steps = 60
	for step := 1; step <= steps; step++ {
		l := leaders[r.IntN(3)]
		if r.IntN(4) == 0 || l.token == 0 { // another takes over; the former ones do not know
			token++
			l.token, l.ready = token, false
		}
		heal := func() {}
		if r.IntN(6) == 0 {
			heal = faults[r.IntN(3)](t)
		}
		l.step(t, r, step)
		heal()
	}
	last := &leader{p: w.Connect(t), token: token + 1}
	eventually(t, func() (int, error) {
		if last.step(t, r, steps); last.next <= steps {
			return 0, fmt.Errorf("%w: not done", beat.ErrUnavailable)
		}
		return 0, nil
	})
	t.Logf("seed %d, %d terms", seed, token+1)
	checkOnce(t, h.Doubles, w.Sent(t, "q"), ids(Ticks("q", "e", 1, steps))...)
}
