package brokertest

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"crisper/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformanceInMemory(t *testing.T) {
	const presence = 100 * time.Millisecond
	Exercise(t, Harness{Presence: presence, New: func(*testing.T) Server { return NewMemory(presence) }})
}

func TestFaultyFailsBeforeAndAfterTheRequest(t *testing.T) {
	m := NewMemory(time.Second)
	publish(t, m, "q", "a", "b")
	f := &Faulty{Consumer: m.Consumer("w", "q")}
	w := Start(t, f)
	f.FailBefore(broker.ErrUnavailable)
	if _, err := w.Take(t.Context(), 1); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatal(err)
	}
	equal(t, "nothing was done", waiting(t, m, "q"), "a", "b")
	f.FailAfter(broker.ErrUnavailable)
	if _, err := w.Take(t.Context(), 1); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatal(err)
	}
	equal(t, "the answer was lost", waiting(t, m, "q"), "b")
	equal(t, "then all is well", IDs(w.MustTake(1)), "b")
}
