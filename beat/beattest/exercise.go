package beattest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"crisper/beat"
)

// Exercise runs the whole suite.
func Exercise(t *testing.T, h Harness) {
	if h.CallTimeout == 0 {
		h.CallTimeout = 5 * time.Second
	}
	for _, c := range slices.Concat(cases, faultCases) {
		t.Run(c.name, func(t *testing.T) {
			if why, missing := h.Missing[c.name]; missing {
				t.Skipf("this publisher cannot: %s", why)
			}
			c.run(t, h.New(t), h)
		})
	}
}

type testCase struct {
	name string
	run  func(t *testing.T, w World, h Harness)
}

var cases = []testCase{
	{"a tick is sent and moves its entry's record", sent},
	{"what was sent is not sent again, whoever asks", already},
	{"a tick older than the record is not sent", older},
	{"ticks of one entry in one batch are sent in order", inOrder},
	{"an entry without a record is sent", unregistered},
	{"a smaller token is refused and changes nothing", fenced},
	{"a token grows beyond 2^53", largeTokens},
	{"leaders that alternate send each tick once", alternating},
	{"two that believe they lead send each tick once", together},
	{"registering gives first records and returns stored ones", register},
	{"registering drops the records of other entries", forgets},
	{"registering nothing drops all and fences", registerNothing},
	{"moments survive to the microsecond", moments},
	{"names may be anything", names},
	{"a message that no queue takes is recorded and the others are sent", unroutable},
	{"an empty batch checks the token", emptyBatch},
	{"a context that has ended sends nothing", ended},
	{"ten thousand records", many},
}

func mustRegister(t *testing.T, p beat.Publisher, token uint64, fresh map[string]beat.Record) map[string]beat.Record {
	t.Helper()
	known, err := p.Register(t.Context(), token, fresh)
	if err != nil {
		t.Fatalf("Register: %v", err)
	}
	return known
}

func mustPublish(t *testing.T, p beat.Publisher, token uint64, batch ...beat.Publication) []beat.Outcome {
	t.Helper()
	outcomes, err := p.Publish(t.Context(), token, batch)
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	return outcomes
}

// publishInTheEnd repeats what may pass, as leaders do: a busy machine under the race
// detector does not write large records within the time of one call.
func publishInTheEnd(t *testing.T, p beat.Publisher, token uint64, batch ...beat.Publication) {
	t.Helper()
	for try := 1; ; try++ {
		_, err := p.Publish(t.Context(), token, batch)
		if err == nil {
			return
		}
		if !errors.Is(err, beat.ErrUnavailable) || try == 20 {
			t.Fatalf("Publish (try %d): %v", try, err)
		}
	}
}

func seen(entries ...string) map[string]beat.Record {
	fresh := map[string]beat.Record{}
	for _, e := range entries {
		fresh[e] = beat.Record{Last: Start}
	}
	return fresh
}

func equal[T comparable](t *testing.T, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func ids(batch []beat.Publication) (all []string) {
	for _, b := range batch {
		all = append(all, b.Message.TaskID)
	}
	return all
}

func sent(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e", "f"))
	equal(t, "outcomes", mustPublish(t, p, 1, Tick("q", "e", 1), Tick("q", "f", 3)), beat.Published, beat.Published)
	equal(t, "sent", w.Sent(t, "q"), TaskID("e", At(1)), TaskID("f", At(3)))
	known := mustRegister(t, w.Connect(t), 2, seen("e", "f"))
	if e, f := known["e"], known["f"]; !e.Last.Equal(At(1)) || e.Count != 1 || !f.Last.Equal(At(3)) || f.Count != 3 {
		t.Fatalf("records %+v", known)
	}
}

func already(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e"))
	batch := Ticks("q", "e", 1, 2)
	mustPublish(t, p, 1, batch...)
	equal(t, "the same again", mustPublish(t, p, 1, batch...), beat.Already, beat.Already)
	equal(t, "another asks", mustPublish(t, w.Connect(t), 1, batch...), beat.Already, beat.Already)
	equal(t, "the next leader asks", mustPublish(t, w.Connect(t), 2, batch...), beat.Already, beat.Already)
	equal(t, "sent", w.Sent(t, "q"), ids(batch)...)
}

func older(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e"))
	equal(t, "out of order", mustPublish(t, p, 1, Tick("q", "e", 5), Tick("q", "e", 4), Tick("q", "e", 5), Tick("q", "e", 0)),
		beat.Published, beat.Already, beat.Already, beat.Already)
	equal(t, "sent", w.Sent(t, "q"), TaskID("e", At(5)))
}

func inOrder(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e", "f"))
	var batch []beat.Publication
	for n := 1; n <= 20; n++ {
		batch = append(batch, Tick("q", "e", n), Tick("r", "f", n))
	}
	mustPublish(t, p, 1, batch...)
	equal(t, "sent to q", w.Sent(t, "q"), ids(Ticks("q", "e", 1, 20))...)
	equal(t, "sent to r", w.Sent(t, "r"), ids(Ticks("r", "f", 1, 20))...)
}

func unregistered(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e"))
	equal(t, "outcome", mustPublish(t, p, 1, Tick("q", "new", 1)), beat.Published)
	equal(t, "again", mustPublish(t, p, 1, Tick("q", "new", 1)), beat.Already)
}

func mustBeFenced(t *testing.T, what string, err error, stored uint64) {
	t.Helper()
	var f *beat.Fenced
	if !errors.As(err, &f) || f.Stored != stored {
		t.Fatalf("%s: %v, want fenced by %d", what, err, stored)
	}
}

func fenced(t *testing.T, w World, _ Harness) {
	old, now := w.Connect(t), w.Connect(t)
	mustRegister(t, old, 7, seen("e"))
	mustRegister(t, now, 8, seen("e"))
	_, err := old.Publish(t.Context(), 7, Ticks("q", "e", 1, 2))
	mustBeFenced(t, "Publish", err, 8)
	_, err = old.Register(t.Context(), 7, seen("other"))
	mustBeFenced(t, "Register", err, 8)
	equal(t, "sent", w.Sent(t, "q"))
	equal(t, "the leader", mustPublish(t, now, 8, Tick("q", "e", 1)), beat.Published)
	if known := mustRegister(t, now, 8, seen("e")); !known["e"].Last.Equal(At(1)) {
		t.Fatalf("records %+v", known)
	}
	// Publishing alone fences as well.
	equal(t, "the next leader", mustPublish(t, old, 9, Tick("q", "e", 2)), beat.Published)
	_, err = now.Publish(t.Context(), 8, Ticks("q", "e", 3, 3))
	mustBeFenced(t, "Publish after a Publish", err, 9)
}

func largeTokens(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	last := uint64(0)
	for _, token := range []uint64{9, 10, 1 << 53, 1<<53 + 1, 1<<63 + 1, 1<<64 - 1} {
		mustRegister(t, p, token, seen("e"))
		_, err := w.Connect(t).Register(t.Context(), last, seen("e"))
		mustBeFenced(t, fmt.Sprintf("token %d after %d", last, token), err, token)
		last = token
	}
}

// alternating: each leader knows only what it is told by Register, and begins a
// little before where the other ended.
func alternating(t *testing.T, w World, _ Harness) {
	replicas := []beat.Publisher{w.Connect(t), w.Connect(t)}
	for term := 1; term <= 12; term++ {
		p := replicas[term%2]
		mustRegister(t, p, uint64(term), seen("e"))
		mustPublish(t, p, uint64(term), Ticks("q", "e", max(1, 3*term-5), 3*term)...)
		_, err := replicas[(term+1)%2].Publish(t.Context(), uint64(term-1), Ticks("q", "e", 3*term, 3*term+1))
		mustBeFenced(t, "the former leader", err, uint64(term))
	}
	equal(t, "sent", w.Sent(t, "q"), ids(Ticks("q", "e", 1, 36))...)
}

func together(t *testing.T, w World, h Harness) {
	mustRegister(t, w.Connect(t), 1, seen("e"))
	var wait sync.WaitGroup
	for i, p := range []beat.Publisher{w.Connect(t), w.Connect(t), w.Connect(t)} {
		wait.Go(func() {
			for n := 1; n <= 30; n++ {
				_, err := p.Publish(t.Context(), uint64(1+i/2), Ticks("q", "e", n, n+1))
				var f *beat.Fenced
				if err != nil && !errors.As(err, &f) {
					t.Errorf("Publish: %v", err)
				}
			}
		})
	}
	wait.Wait()
	checkOnce(t, h.Races, w.Sent(t, "q"), ids(Ticks("q", "e", 1, 31))...)
}

func register(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	fresh := map[string]beat.Record{"e": {Last: At(1), Count: 10}, "f": {Last: At(2)}}
	known := mustRegister(t, p, 1, fresh)
	if len(known) != 2 || !known["e"].Last.Equal(At(1)) || known["e"].Count != 10 || !known["f"].Last.Equal(At(2)) {
		t.Fatalf("first records %+v", known)
	}
	later := map[string]beat.Record{"e": {Last: At(100), Count: 99}, "f": {Last: At(100)}, "g": {Last: At(3)}}
	known = mustRegister(t, p, 1, later)
	if len(known) != 3 || !known["e"].Last.Equal(At(1)) || known["e"].Count != 10 || !known["g"].Last.Equal(At(3)) {
		t.Fatalf("stored records %+v", known)
	}
}

func forgets(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	mustRegister(t, p, 1, map[string]beat.Record{"e": {Last: At(1)}, "f": {Last: At(1)}, "g": {Last: At(1)}})
	mustRegister(t, p, 1, map[string]beat.Record{"f": {Last: At(2)}})
	known := mustRegister(t, w.Connect(t), 2, map[string]beat.Record{"e": {Last: At(3)}, "f": {Last: At(3)}})
	if !known["e"].Last.Equal(At(3)) || !known["f"].Last.Equal(At(1)) {
		t.Fatalf("records %+v", known)
	}
}

func registerNothing(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e"))
	if known := mustRegister(t, p, 2, nil); len(known) != 0 {
		t.Fatalf("records %+v", known)
	}
	_, err := w.Connect(t).Register(t.Context(), 1, seen("e"))
	mustBeFenced(t, "Register", err, 2)
	if known := mustRegister(t, p, 2, map[string]beat.Record{"e": {Last: At(9)}}); !known["e"].Last.Equal(At(9)) {
		t.Fatalf("records %+v", known)
	}
}

func moments(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	berlin := time.FixedZone("", 7200)
	due := time.Date(2026, 7, 1, 1, 2, 3, 123456789, berlin)
	known := mustRegister(t, p, 1, map[string]beat.Record{"e": {Last: due}, "old": {Last: time.Date(1969, 7, 20, 20, 17, 0, 1000, time.UTC)}})
	if got := known["e"].Last; !got.Equal(due.Truncate(time.Microsecond)) {
		t.Fatalf("last %v, want %v", got, due)
	}
	if got := known["old"].Last; got.Year() != 1969 || got.Nanosecond() != 1000 {
		t.Fatalf("last %v", got)
	}
	next := Tick("q", "e", 1)
	next.Tick.Due = due.Add(time.Microsecond)
	equal(t, "outcomes", mustPublish(t, p, 1, next, next), beat.Published, beat.Already)
}

func names(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	strange := []string{"", " ", "a b", "größe", "a\nb", "\x00", `{"x": 1}`, "token", "__proto__"}
	mustRegister(t, p, 1, seen(strange...))
	var batch []beat.Publication
	for _, name := range strange {
		batch = append(batch, Tick("q", name, 1))
	}
	for i, o := range mustPublish(t, p, 1, batch...) {
		if o != beat.Published {
			t.Errorf("%q: outcome %v", strange[i], o)
		}
	}
	for name, r := range mustRegister(t, w.Connect(t), 2, seen(strange...)) {
		if !r.Last.Equal(At(1)) {
			t.Errorf("%q: record %+v", name, r)
		}
	}
}

func unroutable(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e", "f"))
	lost := Tick("q", "f", 1)
	lost.Message.RoutingKey, lost.Message.Declare = "", nil
	equal(t, "outcomes", mustPublish(t, p, 1, Tick("q", "e", 1), lost, Tick("q", "e", 2)), beat.Published, beat.Unroutable, beat.Published)
	equal(t, "sent", w.Sent(t, "q"), TaskID("e", At(1)), TaskID("e", At(2)))
	equal(t, "again", mustPublish(t, p, 1, lost), beat.Already)
}

func emptyBatch(t *testing.T, w World, _ Harness) {
	mustRegister(t, w.Connect(t), 5, seen("e"))
	equal(t, "outcomes", mustPublish(t, w.Connect(t), 5))
	_, err := w.Connect(t).Publish(t.Context(), 4, nil)
	mustBeFenced(t, "Publish", err, 5)
}

func ended(t *testing.T, w World, _ Harness) {
	p := w.Connect(t)
	mustRegister(t, p, 1, seen("e"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Publish(ctx, 1, Ticks("q", "e", 1, 1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Publish: %v", err)
	}
	if _, err := p.Register(ctx, 1, seen("e")); !errors.Is(err, context.Canceled) {
		t.Fatalf("Register: %v", err)
	}
	equal(t, "sent", w.Sent(t, "q"))
	equal(t, "outcome", mustPublish(t, p, 1, Tick("q", "e", 1)), beat.Published)
}

func many(t *testing.T, w World, _ Harness) {
	const entries = 10000
	fresh := make(map[string]beat.Record, entries)
	name := func(i int) string { return fmt.Sprintf("send reminders to customer %06d", i) }
	for i := range entries {
		fresh[name(i)] = beat.Record{Last: Start}
	}
	p := w.Connect(t)
	began := time.Now()
	mustRegister(t, p, 1, fresh)
	t.Logf("first registration: %v", time.Since(began))
	var batch []beat.Publication
	for i := range 1000 {
		batch = append(batch, Tick("q", name(i), 1))
	}
	began = time.Now()
	publishInTheEnd(t, p, 1, batch...)
	t.Logf("1000 ticks in one batch: %v", time.Since(began))
	began = time.Now()
	known := mustRegister(t, w.Connect(t), 2, fresh)
	t.Logf("registration by the next leader: %v", time.Since(began))
	for i := range entries {
		want := At(0)
		if i < 1000 {
			want = At(1)
		}
		if !known[name(i)].Last.Equal(want) {
			t.Fatalf("%s: %+v", name(i), known[name(i)])
		}
	}
	equal(t, "sent", w.Sent(t, "q"), ids(batch)...)
}
