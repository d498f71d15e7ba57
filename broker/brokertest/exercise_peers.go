package brokertest

import (
	"fmt"
	"testing"
	"time"

	"crisper/broker"
)

func wakes(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q", "r"))
	w.MustTake(1)
	s.Publish(t, "r", 3, Payload("a", 3))
	Await[broker.Ready](w)
	equal(t, "taken", IDs(w.MustTake(1)), "a")
	w.MustTake(1)
	publish(t, s, "q", "b")
	Await[broker.Ready](w)
	equal(t, "taken", IDs(w.MustTake(1)), "b")
}

func quiet(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	publish(t, s, "q", "a", "b")
	w.MustTake(1)
	publish(t, s, "q", "c")
	time.Sleep(300 * time.Millisecond) // that nothing comes can only be seen by waiting
	if got := Got[broker.Ready](w); len(got) != 0 {
		t.Fatalf("%d Ready without a short Take", len(got))
	}
}

func backlog(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q", "r"))
	other := Start(t, s.Connect(t, "other", "q"))
	publish(t, s, "q", "a", "b", "c")
	later := fmt.Sprintf(`{"body": "", "headers": {"task": "t", "id": "id-l", "eta": "%s"}, "properties": {"delivery_tag": "l", "delivery_info": {}}}`,
		time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05+00:00"))
	s.Publish(t, "q", 0, []byte(later))
	publish(t, s, "q", "d", "e")
	w.MustTake(1)
	other.MustTake(3)
	got, err := w.Backlog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q := got["q"]
	if q.Ready != 2 || q.Unacked != 3 || q.Scheduled != 1 || got["r"] != (broker.Backlog{}) {
		t.Fatalf("got %+v", got)
	}
}

// dead makes a worker that held these and is gone.
func dead(t *testing.T, s Server, n int, verdicts func(ds []broker.Delivery) []broker.Settlement) {
	w := Start(t, s.Connect(t, "dead", "q"))
	ds := w.MustTake(n)
	if len(ds) != n {
		t.Fatalf("took %d of %d", len(ds), n)
	}
	if verdicts != nil {
		w.MustSettle(verdicts(ds)...)
	}
	w.Kill()
}

func death(t *testing.T, s Server, _ Harness) {
	publish(t, s, "q", "a", "b", "c", "d", "e")
	dead(t, s, 4, func(ds []broker.Delivery) []broker.Settlement { return All(ds[:1], broker.Begin) })
	peer := Start(t, s.Connect(t, "peer", "q"))
	if ev := Await[broker.PeerRestored](peer); ev.Peer != "dead" || ev.Count != 4 {
		t.Fatalf("got %+v", ev)
	}
	ds := peer.MustTake(10)
	equal(t, "taken", IDs(ds), "a", "b", "c", "d", "e")
	for i, want := range []int{1, 0, 0, 0, 0} {
		if ds[i].Deaths != want || ds[i].Redelivered != (i < 4) {
			t.Errorf("delivery %d: %d deaths, redelivered %v", i, ds[i].Deaths, ds[i].Redelivered)
		}
	}
}

func orphans(t *testing.T, s Server, _ Harness) {
	publish(t, s, "q", "a", "b")
	dead(t, s, 2, func(ds []broker.Delivery) []broker.Settlement { return All(ds[:1], broker.Accept) })
	peer := Start(t, s.Connect(t, "peer", "q"))
	ev := Await[broker.Orphaned](peer)
	equal(t, "orphans", IDs(ev.Deliveries), "a")
	if gone := peer.MustSettle(All(ev.Deliveries, broker.Ack)...); len(gone) != 0 {
		t.Fatalf("gone: %q", gone)
	}
	equal(t, "waiting", waiting(t, s, "q"), "b")
}

func many(t *testing.T, s Server, h Harness) {
	const messages = 300
	for i := range messages {
		publish(t, s, "q", fmt.Sprintf("m%03d", i))
	}
	dead(t, s, messages, func(ds []broker.Delivery) []broker.Settlement { return All(ds[:20], broker.Accept) })
	var peers []*Worker
	for i := range 4 {
		peers = append(peers, Start(t, s.Connect(t, fmt.Sprint("peer", i), "q")))
	}
	restored, orphaned := 0, map[string]int{}
	deadline := time.Now().Add(patience)
	// What is in the queue counts: the report of a restore is lost with its answer.
	for len(waiting(t, s, "q")) < messages-20 || len(orphaned) < 20 {
		if time.Now().After(deadline) {
			t.Fatalf("%d wait, %d restored, %d orphaned", len(waiting(t, s, "q")), restored, len(orphaned))
		}
		time.Sleep(20 * time.Millisecond) // the events of four workers are gathered by looking
		r, o := gather(peers)
		restored += r
		for _, id := range o {
			orphaned[id]++
		}
	}
	time.Sleep(h.Presence) // a second restore would come with the next look at the presences
	r, o := gather(peers)
	if restored += r; restored > messages-20 || len(o) != 0 {
		t.Fatalf("%d restored, %d more orphaned", restored, len(o))
	}
	if got := waiting(t, s, "q"); len(got) != messages-20 || got[0] != "m020" || got[len(got)-1] != "m299" {
		t.Fatalf("%d wait: %q", len(got), got)
	}
	for id, n := range orphaned {
		if n != 1 {
			t.Errorf("%s was orphaned %d times", id, n)
		}
	}
}

func gather(peers []*Worker) (restored int, orphaned []string) {
	for _, p := range peers {
		for {
			var ev broker.Event
			select {
			case ev = <-p.events:
			default:
			}
			switch ev := ev.(type) {
			case broker.PeerRestored:
				restored += ev.Count
			case broker.Orphaned:
				orphaned = append(orphaned, IDs(ev.Deliveries)...)
			}
			if ev == nil {
				break
			}
		}
	}
	return restored, orphaned
}

// living is tried again when the machine did not let us run for a good part of what
// a worker is taken for dead after: such a worker is not living.
func living(t *testing.T, s Server, h Harness) {
	for try := 1; ; try++ {
		stalls := WatchStalls()
		harm := leftAlone(t, s, h)
		stalled := stalls()
		if harm == "" {
			return
		}
		if stalled < h.Presence/5 || try == 5 {
			t.Fatal(harm)
		}
		t.Logf("%s, and this machine stood still for %s; once more", harm, stalled)
		s = h.New(t)
	}
}

// leftAlone says what was done to the deliveries of a worker that lives.
func leftAlone(t *testing.T, s Server, h Harness) (harm string) {
	publish(t, s, "q", "a", "b")
	w := Start(t, s.Connect(t, "w", "q"))
	ds := w.MustTake(2)
	w.MustSettle(broker.Settlement{Tag: ds[0].Tag, Verb: broker.Accept})
	peer := Start(t, s.Connect(t, "peer", "q"))
	time.Sleep(3 * h.Presence) // that nothing is restored can only be seen by waiting
	if got := Got[broker.PeerRestored](peer); len(got) != 0 {
		return fmt.Sprintf("restored %+v", got)
	}
	if gone := w.MustSettle(All(ds, broker.Ack)...); len(gone) != 0 {
		return fmt.Sprintf("gone: %q", gone)
	}
	return ""
}
