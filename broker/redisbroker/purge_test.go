package redisbroker

import (
	"testing"

	"crisper/broker"
	"crisper/broker/brokertest"
)

func TestPurgeErasesAllPrioritiesAndLeavesWhatIsInHand(t *testing.T) {
	s := mini(t)
	c := s.consumer(t, "w", "q")
	w := brokertest.Start(t, c)
	s.Publish(t, "q", 0, brokertest.Payload("held", 0))
	held := w.MustTake(1)
	s.Publish(t, "q", 0, brokertest.Payload("a", 0))
	s.Publish(t, "q", 9, brokertest.Payload("b", 9))
	if n, err := c.Purge(t.Context()); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if gone := w.MustSettle(brokertest.All(held, broker.Restore)...); len(gone) != 0 || len(s.Waiting(t, "q")) != 1 {
		t.Fatalf("gone: %q", gone)
	}
}
