package amqpbeat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"crisper/beat"
	"crisper/beat/beattest"
	"crisper/beat/message"
	"crisper/broker"
	"crisper/broker/amqpbroker"
)

var (
	seen  = map[string]beat.Record{"e": {Last: beattest.Start}, "f": {Last: beattest.Start}}
	first = beattest.TaskID("e", beattest.At(1))
)

// replica is one of several on a world.
type replica struct {
	*Publisher
	store *faultyStore
	logs  *observer.ObservedLogs
}

func (w *world) replica(t *testing.T, token uint64) *replica {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	r := &replica{store: &faultyStore{Store: w.store()}, logs: logs}
	r.Publisher = New(w.broker, Config{Store: r.store, Log: zap.New(core)})
	if token > 0 {
		r.lead(t, token)
	}
	return r
}

func (r *replica) lead(t *testing.T, token uint64) map[string]beat.Record {
	t.Helper()
	known, err := r.Register(t.Context(), token, seen)
	if err != nil {
		t.Fatalf("Register: %v", err)
	}
	return known
}

func outcomes(t *testing.T, r *replica, token uint64, batch ...beat.Publication) []beat.Outcome {
	t.Helper()
	got, err := r.Publish(t.Context(), token, batch)
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	return got
}

func same[T any](t *testing.T, what string, got []T, want ...T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: want - got +\n%s", what, diff)
	}
}

func mustBeFenced(t *testing.T, err error) {
	t.Helper()
	var f *beat.Fenced
	if !errors.As(err, &f) {
		t.Errorf("got %v, want fenced", err)
	}
}

func TestALeaderThatIsReplacedBeforeItsClaimSendsNothing(t *testing.T) {
	w := fileWorld(t)
	old := w.replica(t, 1)
	now := w.replica(t, 0)
	old.store.hook = func(int) { now.lead(t, 2); old.store.hook = nil }
	_, err := old.Publish(t.Context(), 1, beattest.Ticks("q", "e", 1, 1))
	mustBeFenced(t, err)
	same(t, "sent", w.Sent(t, "q"))
}

// A leader is frozen between its claim and the sending, another takes over and sends
// the tick in doubt, the first wakes and sends it as well: the one way to a double
// without a lost confirm. Its lease is to end its context before that.
func TestALeaderThatIsFrozenAfterItsClaimDoublesWithTheSameTaskID(t *testing.T) {
	w := fileWorld(t)
	old, now := w.replica(t, 1), w.replica(t, 0)
	w.broker.hook = func() {
		w.broker.hook = nil
		now.lead(t, 2)
		same(t, "the next leader", outcomes(t, now, 2, beattest.Tick("q", "e", 1)), beat.Published)
	}
	_, err := old.Publish(t.Context(), 1, beattest.Ticks("q", "e", 1, 1))
	mustBeFenced(t, err)
	same(t, "sent", w.Sent(t, "q"), first, first)
}

func TestALeaderWhoseContextEndedAfterItsClaimSendsNothing(t *testing.T) {
	w := fileWorld(t)
	old := w.replica(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	old.store.hook = func(int) { cancel() }
	if _, err := old.Publish(ctx, 1, beattest.Ticks("q", "e", 1, 1)); !errors.Is(err, beat.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	same(t, "sent", w.Sent(t, "q"))
	now := w.replica(t, 2)
	same(t, "the next leader", outcomes(t, now, 2, beattest.Tick("q", "e", 1)), beat.Published)
}

// What was confirmed is recorded even by a leader that has been replaced meanwhile, so
// that the next one does not send it again.
func TestALeaderThatIsReplacedBeforeItsRecordStillRecords(t *testing.T) {
	w := fileWorld(t)
	old, now := w.replica(t, 1), w.replica(t, 0)
	swaps := old.store.swaps
	old.store.hook = func(n int) {
		if n == swaps+2 { // the record
			old.store.hook = nil
			if last := now.lead(t, 2)["e"].Last; !last.Equal(beattest.At(0)) {
				t.Errorf("recorded before: %v", last)
			}
		}
	}
	_, err := old.Publish(t.Context(), 1, beattest.Ticks("q", "e", 1, 1))
	mustBeFenced(t, err)
	same(t, "the next leader", outcomes(t, now, 2, beattest.Ticks("q", "e", 1, 2)...), beat.Already, beat.Published)
	same(t, "sent", w.Sent(t, "q"), first, beattest.TaskID("e", beattest.At(2)))
}

func TestARecordIsWrittenThoughTheTermHasEnded(t *testing.T) {
	w := fileWorld(t)
	old := w.replica(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	swaps := old.store.swaps
	old.store.hook = func(n int) {
		if n == swaps+2 {
			cancel()
		}
	}
	same(t, "outcomes", func() []beat.Outcome { o, _ := old.Publish(ctx, 1, beattest.Ticks("q", "e", 1, 1)); return o }(), beat.Published)
	if last := w.replica(t, 0).lead(t, 2)["e"].Last; !last.Equal(beattest.At(1)) {
		t.Errorf("recorded: %v", last)
	}
}

// The confirm is lost together with the leader.
func TestATickInDoubtIsSentAgainByTheNextLeaderWithTheSameTaskID(t *testing.T) {
	w := fileWorld(t)
	old := w.replica(t, 1)
	w.broker.mute = true
	if _, err := old.Publish(t.Context(), 1, beattest.Ticks("q", "e", 1, 1)); !errors.Is(err, beat.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	w.broker.mute = false
	now := w.replica(t, 2)
	if now.logs.FilterField(zap.Int("ticks", 1)).Len() != 1 {
		t.Errorf("the doubt is not told: %v", now.logs.All())
	}
	same(t, "outcomes", outcomes(t, now, 2, beattest.Tick("q", "e", 1)), beat.Published)
	same(t, "sent", w.Sent(t, "q"), first, first)
}

// Of one entry the first tick is in doubt and the second confirmed: recording the
// second would hide the first.
func TestATickInDoubtIsNotHiddenByALaterOneOfItsEntry(t *testing.T) {
	w := fileWorld(t)
	old := w.replica(t, 1)
	w.broker.fates["q"] = []amqpbroker.Result{{Fate: amqpbroker.Unknown}}
	batch := append(beattest.Ticks("q", "e", 1, 2), beattest.Tick("r", "f", 1))
	if _, err := old.Publish(t.Context(), 1, batch); !errors.Is(err, beat.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	known := w.replica(t, 0).lead(t, 1)
	if !known["e"].Last.Equal(beattest.Start) || !known["f"].Last.Equal(beattest.At(1)) {
		t.Errorf("records %+v", known)
	}
	same(t, "repeated", outcomes(t, old, 1, batch...), beat.Published, beat.Published, beat.Published)
	same(t, "sent to q", w.Sent(t, "q"), beattest.TaskID("e", beattest.At(2)), first)
	same(t, "sent to r", w.Sent(t, "r"), beattest.TaskID("f", beattest.At(1)))
}

// The leader has two requests, one for each lane of entries. One is confirmed and cannot be
// recorded; the other succeeds before it is repeated.
func TestWhatWasConfirmedIsNotSentAgainThoughAnotherRequestCameBetween(t *testing.T) {
	w := fileWorld(t)
	r := w.replica(t, 1)
	batch := []beat.Publication{beattest.Tick("q", "e", 1)}
	swaps := r.store.swaps
	r.store.hook = func(n int) { // the claim succeeds, the record does not
		r.store.mu.Lock()
		r.store.away = n == swaps+2
		r.store.mu.Unlock()
	}
	if _, err := r.Publish(t.Context(), 1, batch); !errors.Is(err, beat.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	r.store.hook, r.store.away = nil, false
	same(t, "the other", outcomes(t, r, 1, beattest.Tick("r", "f", 1)), beat.Published)
	same(t, "repeated", outcomes(t, r, 1, batch...), beat.Published)
	same(t, "sent", w.Sent(t, "q"), first)
	if len(r.settled) != 0 {
		t.Errorf("kept: %v", r.settled)
	}
}

// silent is a sender that does not say what became of a message, nor why.
type silent struct{ *fakeBroker }

func (silent) Publish(_ context.Context, batch []amqpbroker.Message) ([]amqpbroker.Result, error) {
	return make([]amqpbroker.Result, len(batch)), nil
}

func TestAMessageOfWhichNothingIsKnownIsNotTakenForSent(t *testing.T) {
	w := fileWorld(t)
	r := w.replica(t, 1)
	r.sender = silent{w.broker}
	if _, err := r.Publish(t.Context(), 1, []beat.Publication{beattest.Tick("q", "e", 1)}); !errors.Is(err, beat.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	r.sender = w.broker
	same(t, "repeated", outcomes(t, r, 1, beattest.Tick("q", "e", 1)), beat.Published)
	same(t, "sent", w.Sent(t, "q"), first)
}

func TestFatesThatNobodyWillAskForAreForgottenWithTheTermOrTheEntry(t *testing.T) {
	w := fileWorld(t)
	r := w.replica(t, 1)
	w.broker.fates["r"] = []amqpbroker.Result{{Fate: amqpbroker.Unknown}}
	if _, err := r.Publish(t.Context(), 1, []beat.Publication{beattest.Tick("q", "e", 1), beattest.Tick("r", "f", 1)}); err == nil {
		t.Fatal("a request without a confirm was answered")
	}
	if r.lead(t, 1); len(r.settled) != 1 {
		t.Errorf("of this term, kept: %v", r.settled)
	}
	if r.lead(t, 2); len(r.settled) != 0 {
		t.Errorf("of the term before, kept: %v", r.settled)
	}
}

func TestAMessageThatTheAppCouldNotMakeGoesNowhereAndIsRecorded(t *testing.T) {
	w := fileWorld(t)
	r := w.replica(t, 1)
	b := beattest.Tick("q", "e", 1)
	b.Message = message.Message{TaskID: b.Message.TaskID}
	same(t, "outcomes", outcomes(t, r, 1, b, beattest.Tick("q", "f", 1)), beat.Unroutable, beat.Published)
	same(t, "again", outcomes(t, r, 1, b), beat.Already)
	if r.logs.Len() != 0 { // the leader names it with the app's error
		t.Errorf("logs %v", r.logs.All())
	}
}

func TestWhatIsNackedIsTriedAgainAndThenToldOf(t *testing.T) {
	w := fileWorld(t)
	r := w.replica(t, 1)
	nack := amqpbroker.Result{Fate: amqpbroker.Nacked}
	w.broker.fates["q"] = []amqpbroker.Result{nack, nack}
	w.broker.fates["full"] = []amqpbroker.Result{nack, nack, nack}
	same(t, "outcomes", outcomes(t, r, 1, beattest.Tick("q", "e", 1), beattest.Tick("full", "f", 1)), beat.Published, beat.Unroutable)
	if r.logs.FilterField(zap.String("entry", "f")).Len() != 1 || r.logs.Len() != 1 {
		t.Errorf("logs %v", r.logs.All())
	}
}

func TestWhatTheBrokerRefusesIsNamedAndDoesNotHoldUpTheOthers(t *testing.T) {
	w := fileWorld(t)
	r := w.replica(t, 1)
	w.broker.fates["bad"] = []amqpbroker.Result{{Fate: amqpbroker.Refused, Err: errors.New("PRECONDITION_FAILED of queue bad")}}
	odd := beattest.Tick("q", "g", 1)
	odd.Message.Headers = []byte(`{"x": 99999999999999999999}`)
	same(t, "outcomes", outcomes(t, r, 1, beattest.Tick("bad", "f", 1), odd, beattest.Tick("q", "e", 1)), beat.Unroutable, beat.Unroutable, beat.Published)
	for _, part := range []string{"PRECONDITION_FAILED of queue bad", "does not fit into AMQP"} {
		if !strings.Contains(fmt.Sprint(r.logs.All()), part) {
			t.Errorf("%q is not in %v", part, r.logs.All())
		}
	}
}

func TestBatchesBeginNoFasterThanTheStoreMayBeWritten(t *testing.T) {
	w := fileWorld(t)
	const pace = 60 * time.Millisecond
	create := w.store
	w.store = func() Store { s := create().(*FileStore); s.Pace = pace; return s }
	r := w.replica(t, 1)
	began, swaps := time.Now(), r.store.swaps
	for n := 1; n <= 5; n++ {
		outcomes(t, r, 1, beattest.Ticks("q", fmt.Sprint("e", n%2), n, n)...)
	}
	if took := time.Since(began); took < 4*pace {
		t.Errorf("five batches within %v", took)
	}
	if n := r.store.swaps - swaps; n != 10 {
		t.Errorf("%d swaps", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), pace/10)
	defer cancel()
	if _, err := r.Publish(ctx, 1, beattest.Ticks("q", "e", 6, 6)); !errors.Is(err, beat.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestARequestThatWaitsForTheStoreSaysSoAndEndsAtOnceWithNothingSent(t *testing.T) {
	w := fileWorld(t)
	r := w.replica(t, 1)
	r.store.Store = paced{r.store.Store}
	outcomes(t, r, 1, beattest.Tick("q", "e", 1))
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := r.Publish(ctx, 1, []beat.Publication{beattest.Tick("q", "e", 2)})
		answer <- err
	}()
	for !r.Waiting() {
		time.Sleep(time.Millisecond) // nothing tells of it but the question
	}
	cancel()
	if err := <-answer; !errors.Is(err, beat.ErrUnavailable) || r.Waiting() {
		t.Errorf("got %v; waiting: %t", err, r.Waiting())
	}
	same(t, "sent", w.Sent(t, "q"), first)
}

// paced is a store that may be written once an hour.
type paced struct{ Store }

func (paced) Limits() Limits { return Limits{Name: "it", Bytes: 1 << 20, Pace: time.Hour} }

func TestRecordsThatDoNotFitAreRefusedWithTheNumbers(t *testing.T) {
	w := kubeWorld(t)
	r := w.replica(t, 0)
	fresh := map[string]beat.Record{}
	for i := range 60000 {
		fresh[fmt.Sprintf("%s %d", TaskID("s", fmt.Sprint(i), beattest.Start), i)] = beat.Record{Last: beattest.At(i)}
	}
	_, err := r.Register(t.Context(), 1, fresh)
	if !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), "60000 entries") || !strings.Contains(err.Error(), "1048576") {
		t.Errorf("got %v", err)
	}
	if _, err := r.Register(t.Context(), 1, seen); err != nil {
		t.Errorf("fewer: %v", err)
	}
}

func TestATaskIDIsAUUIDThatTheTickAloneDecides(t *testing.T) {
	id := TaskID("proj", "e", beattest.Start)
	if id != TaskID("proj", "e", beattest.Start.In(time.FixedZone("", 3600))) {
		t.Error("another zone, another id")
	}
	if len(id) != 36 || id[14] != '5' || !strings.Contains("89ab", id[19:20]) {
		t.Errorf("%s is no UUID of version 5", id)
	}
	others := map[string]bool{id: true}
	for _, other := range []string{TaskID("proj2", "e", beattest.Start), TaskID("proj", "f", beattest.Start), TaskID("proj", "e", beattest.Start.Add(time.Microsecond))} {
		others[other] = true
	}
	if len(others) != 4 {
		t.Errorf("ids %v", others)
	}
}
