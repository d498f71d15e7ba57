package brokertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"crisper/broker"
)

// patience is how long the suite waits for what must come; far more than it takes.
const patience = 60 * time.Second

// Worker runs a consumer in a test and keeps what it reports.
type Worker struct {
	broker.Consumer
	t      testing.TB
	cancel context.CancelFunc
	events chan broker.Event
	ended  chan error
}

// Start runs a consumer and waits until it is connected.
func Start(t testing.TB, c broker.Consumer) *Worker {
	t.Helper()
	w := Run(t, c)
	Await[broker.Connected](w)
	return w
}

// Run runs a consumer; it ends with the test.
func Run(t testing.TB, c broker.Consumer) *Worker {
	ctx, cancel := context.WithCancel(context.Background())
	// As large as any test is long: the consumer must never wait for the test.
	w := &Worker{Consumer: c, t: t, cancel: cancel, events: make(chan broker.Event, 10000), ended: make(chan error, 1)}
	go func() { w.ended <- c.Run(ctx) }()
	go func() {
		defer close(w.events)
		for ev := range c.Events() {
			w.events <- ev
		}
	}()
	t.Cleanup(w.Kill)
	return w
}

// Kill ends the consumer as a crash would: nothing is given back.
func (w *Worker) Kill() {
	w.cancel()
	select {
	case err := <-w.ended:
		w.ended <- err
	case <-time.After(patience):
		w.t.Error("Run does not return")
	}
}

// Ended waits for Run to return by itself.
func (w *Worker) Ended() error {
	w.t.Helper()
	select {
	case err := <-w.ended:
		w.ended <- err
		return err
	case <-time.After(patience):
		w.t.Fatal("Run does not return")
		return nil
	}
}

// Await waits for the next event of one kind and drops others before it.
func Await[E broker.Event](w *Worker) E {
	w.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case ev, ok := <-w.events:
			if !ok {
				w.t.Fatalf("Run returned while waiting for %T", *new(E))
			}
			if wanted, ok := ev.(E); ok {
				return wanted
			}
		case <-timeout:
			w.t.Fatalf("no %T came", *new(E))
		}
	}
}

// Got takes out what has been reported so far and is of one kind.
func Got[E broker.Event](w *Worker) (found []E) {
	for {
		select {
		case ev, ok := <-w.events:
			if !ok {
				return found
			}
			if wanted, ok := ev.(E); ok {
				found = append(found, wanted)
			}
		default:
			return found
		}
	}
}

// MustTake takes up to n and fails the test on errors.
func (w *Worker) MustTake(n int) []broker.Delivery {
	w.t.Helper()
	ds, err := w.Take(w.t.Context(), n)
	if err != nil {
		w.t.Fatalf("Take: %v", err)
	}
	return ds
}

// MustSettle settles and returns what was gone.
func (w *Worker) MustSettle(batch ...broker.Settlement) []broker.Tag {
	w.t.Helper()
	gone, err := w.Settle(w.t.Context(), batch)
	if err != nil {
		w.t.Fatalf("Settle: %v", err)
	}
	return gone
}

// All gives every delivery the same verdict.
func All(ds []broker.Delivery, verb broker.Verb) (batch []broker.Settlement) {
	for _, d := range ds {
		batch = append(batch, broker.Settlement{Tag: d.Tag, Verb: verb})
	}
	return batch
}

// IDs are the task ids of deliveries without "id-".
func IDs(ds []broker.Delivery) (ids []string) {
	for _, d := range ds {
		ids = append(ids, idOf(d.Message.ID))
	}
	return ids
}

func idOf(id string) string {
	if len(id) > 3 {
		return id[3:]
	}
	return id
}

func equal(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}
