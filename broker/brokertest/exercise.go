package brokertest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

// Exercise runs the whole suite.
func Exercise(t *testing.T, h Harness) {
	if h.Presence == 0 {
		h.Presence = 6 * time.Second
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if why, missing := h.Missing[c.name]; missing {
				t.Skipf("this broker cannot: %s", why)
			}
			c.run(t, h.New(t), h)
		})
	}
}

var cases = []struct {
	name string
	run  func(t *testing.T, s Server, h Harness)
}{
	{"messages of one queue come in the order of publishing", inOrder},
	{"a higher priority comes first", priorities},
	{"queues take turns", turns},
	{"nothing is taken without credit or from an empty queue", nothing},
	{"unknown headers and spacing pass byte for byte", bytesKept},
	{"a settled delivery is gone, and settled once", once},
	{"a batch that begins and ends a delivery ends it", beginAndAck},
	{"requeue goes to the end of the queue, marked", requeue},
	{"restore makes a batch the next to be taken, in its order", restore},
	{"restore returns a message to its priority", restorePriority},
	{"a parked message is kept with its reason", park},
	{"two copies of one message are two deliveries", duplicates},
	{"garbage is delivered and can be settled", garbage},
	{"a message wakes the consumer whose Take came back short", wakes},
	{"nobody is woken who does not take", quiet},
	{"the backlog counts ready, unacked and scheduled apart", backlog},
	{"what a dead peer had reserved comes back in order, deaths counted for what it had begun", death},
	{"what a dead peer had begun under early acknowledgement is reported and never run again", orphans},
	{"several peers restore what a dead one held exactly once", many},
	{"the deliveries of a living peer are left alone", living},
}

func publish(t *testing.T, s Server, queue string, tags ...string) {
	for _, tag := range tags {
		s.Publish(t, queue, 0, Payload(tag, 0))
	}
}

// waiting lists the ids of what waits.
func waiting(t *testing.T, s Server, queue string) (ids []string) {
	for _, raw := range s.Waiting(t, queue) {
		m := celerymsg.ParseEnvelope(raw)
		ids = append(ids, idOf(m.ID))
	}
	return ids
}

func inOrder(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	publish(t, s, "q", "a", "b", "c")
	equal(t, "first take", IDs(w.MustTake(2)), "a", "b")
	equal(t, "second take", IDs(w.MustTake(2)), "c")
}

func priorities(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	for i, p := range []int{9, 3, 0, 6, 3} {
		s.Publish(t, "q", p, Payload(fmt.Sprint(p, "-", i), p))
	}
	var got []string
	for _, d := range w.MustTake(10) {
		got = append(got, fmt.Sprint(d.Message.Priority))
	}
	equal(t, "priorities", got, "0", "3", "3", "6", "9")
}

func turns(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q", "r"))
	publish(t, s, "q", "q1", "q2", "q3")
	publish(t, s, "r", "r1", "r2", "r3")
	equal(t, "first take", IDs(w.MustTake(3)), "q1", "r1", "q2")
	equal(t, "second take goes on where the first ended", IDs(w.MustTake(3)), "r2", "q3", "r3")
}

func nothing(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	equal(t, "empty queue", IDs(w.MustTake(5)))
	publish(t, s, "q", "a")
	equal(t, "no credit", IDs(w.MustTake(0)))
	equal(t, "still there", waiting(t, s, "q"), "a")
}

func bytesKept(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	want := Payload("a", 0)
	s.Publish(t, "q", 0, want)
	d := w.MustTake(1)[0]
	if !bytes.Equal(d.Message.Raw, want) {
		t.Fatalf("got  %s\nwant %s", d.Message.Raw, want)
	}
	w.MustSettle(broker.Settlement{Tag: d.Tag, Verb: broker.Requeue})
	if got, want := s.Waiting(t, "q")[0], celerymsg.MarkRestored(want, 0); !bytes.Equal(got, want) {
		t.Fatalf("requeued %s\nwant     %s", got, want)
	}
}

func once(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	publish(t, s, "q", "a", "b")
	ds := w.MustTake(2)
	ack := broker.Settlement{Tag: ds[0].Tag, Verb: broker.Ack}
	if gone := w.MustSettle(ack, broker.Settlement{Tag: ds[1].Tag, Verb: broker.Reject}); len(gone) != 0 {
		t.Fatalf("gone at once: %q", gone)
	}
	if gone := w.MustSettle(ack, broker.Settlement{Tag: "never", Verb: broker.Requeue}); len(gone) != 2 {
		t.Fatalf("settled twice: only %q are gone", gone)
	}
	equal(t, "waiting", waiting(t, s, "q"))
}

func beginAndAck(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	publish(t, s, "q", "a", "b")
	ds := w.MustTake(2)
	w.MustSettle(
		broker.Settlement{Tag: ds[0].Tag, Verb: broker.Begin}, broker.Settlement{Tag: ds[1].Tag, Verb: broker.Accept},
		broker.Settlement{Tag: ds[0].Tag, Verb: broker.Ack}, broker.Settlement{Tag: ds[1].Tag, Verb: broker.Ack})
	if gone := w.MustSettle(All(ds, broker.Ack)...); len(gone) != 2 {
		t.Fatalf("only %q are gone", gone)
	}
}

func requeue(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	publish(t, s, "q", "a", "b")
	ds := w.MustTake(1)
	w.MustSettle(broker.Settlement{Tag: ds[0].Tag, Verb: broker.Requeue, Deaths: 2})
	equal(t, "waiting", waiting(t, s, "q"), "b", "a")
	again := w.MustTake(2)[1]
	if !again.Redelivered || again.Deaths != 2 {
		t.Fatalf("redelivered %v, deaths %d", again.Redelivered, again.Deaths)
	}
}

func restore(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	publish(t, s, "q", "a", "b", "c", "d")
	ds := append(w.MustTake(2), w.MustTake(1)...)
	batch := All(ds, broker.Restore)
	batch[0], batch[2] = batch[2], batch[0] // the order of taking counts
	w.MustSettle(batch...)
	equal(t, "waiting", waiting(t, s, "q"), "a", "b", "c", "d")
	equal(t, "taken again", IDs(w.MustTake(4)), "a", "b", "c", "d")
}

func restorePriority(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	s.Publish(t, "q", 6, Payload("low", 6))
	ds := w.MustTake(1)
	publish(t, s, "q", "high")
	w.MustSettle(All(ds, broker.Restore)...)
	equal(t, "taken", IDs(w.MustTake(2)), "high", "low")
}

func park(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	publish(t, s, "q", "a")
	d := w.MustTake(1)[0]
	w.MustSettle(broker.Settlement{Tag: d.Tag, Verb: broker.Park, Deaths: 3, Reason: "killed 3 children"})
	letters := s.Parked(t)
	if len(letters) != 1 {
		t.Fatalf("%d dead letters", len(letters))
	}
	for _, part := range []string{`"killed 3 children"`, `"deaths":3`, `"queue":"q"`, `id-a`} {
		if !strings.Contains(string(letters[0]), part) {
			t.Errorf("%s is not in %s", part, letters[0])
		}
	}
	equal(t, "waiting", waiting(t, s, "q"))
}

func duplicates(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	publish(t, s, "q", "a", "a", "a")
	ds := append(w.MustTake(2), w.MustTake(1)...)
	if len(ds) != 3 || ds[0].Tag == ds[1].Tag || ds[1].Tag == ds[2].Tag || ds[0].Tag == ds[2].Tag {
		t.Fatalf("tags of three copies: %v", ds)
	}
	w.MustSettle(All(ds[:1], broker.Ack)...)
	w.MustSettle(All(ds[1:], broker.Restore)...)
	equal(t, "waiting", waiting(t, s, "q"), "a", "a")
}

func garbage(t *testing.T, s Server, _ Harness) {
	w := Start(t, s.Connect(t, "w", "q"))
	texts := []string{"", "no json", "\xff\x00", `{"delivery_tag": "x"`, `[]`, `{"properties": {"delivery_tag": 7}}`, "no json", `"delivery_tag": "x"`}
	for _, text := range texts {
		s.Publish(t, "q", 0, []byte(text))
	}
	ds := w.MustTake(20)
	if len(ds) != len(texts) {
		t.Fatalf("%d of %d came", len(ds), len(texts))
	}
	for i, d := range ds {
		if string(d.Message.Raw) != texts[i] || d.Message.Problem == "" {
			t.Errorf("message %d is %q, problem %q", i, d.Message.Raw, d.Message.Problem)
		}
	}
	w.MustSettle(All(ds[:4], broker.Ack)...)
	if gone := w.MustSettle(All(ds[4:], broker.Restore)...); len(gone) != 0 {
		t.Fatalf("gone: %q", gone)
	}
	if got := s.Waiting(t, "q"); len(got) != len(texts)-4 {
		t.Fatalf("%d came back: %q", len(got), got)
	}
}
