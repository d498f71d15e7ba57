package redisbroker

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"crisper/broker"
	"crisper/broker/brokertest"
)

// task is a payload with the ETA that a Celery producer writes.
func task(id, eta string) []byte {
	return bytes.Replace(brokertest.Payload(id, 0), []byte(`"lang": "py"`), []byte(`"lang": "py", "eta": `+eta), 1)
}

const noETA, someETA = "null", `"2040-01-01T00:00:00+00:00"`

func TestTheFirstOnesTakenAreRecordedAsBegunUnlessTheyWait(t *testing.T) {
	s := mini(t)
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	for id, eta := range map[string]string{"a": noETA} {
		s.Publish(t, "q", 0, task(id, eta))
	}
	s.Publish(t, "q", 0, task("b", someETA))
	s.Publish(t, "q", 0, task("c", noETA))
	ds, err := w.Consumer.(broker.Starter).TakeStarted(t.Context(), 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	var started []bool
	for _, d := range ds {
		started = append(started, d.Started)
	}
	if got := brokertest.IDs(ds); !slices.Equal(got, []string{"a", "b", "c"}) || !slices.Equal(started, []bool{true, false, false}) {
		t.Fatalf("taken %q, started %v", got, started)
	}
	if n := s.client.ZCard(t.Context(), s.keys.index).Val(); n != 2 {
		t.Fatalf("%d in the index; one that has begun must not be found by a stock worker", n)
	}
	gone := w.MustSettle(broker.Settlement{Tag: ds[0].Tag, Verb: broker.Ack}, broker.Settlement{Tag: ds[1].Tag, Verb: broker.Restore},
		broker.Settlement{Tag: ds[2].Tag, Verb: broker.Accept})
	if len(gone) != 0 {
		t.Fatalf("gone: %q", gone)
	}
	if got := s.client.HGetAll(t.Context(), s.keys.owners).Val(); len(got) != 1 || got["c"] != "w!" {
		t.Fatalf("owners: %v", got)
	}
}

func TestThoseThatFollowAreRecordedAsBegunUpToTheFirstThatIsNotNamed(t *testing.T) {
	named := func(id, name, eta string) []byte {
		return bytes.Replace(task(id, eta), []byte(`"task": "proj.add"`), []byte(`"task": "`+name+`"`), 1)
	}
	for name, c := range map[string]struct {
		start int
		short []string
		want  []bool
	}{
		"up to another task":   {0, []string{"x.other", "t.a", "t.b"}, []bool{true, true, true, false, false, false}},
		"up to one with ETA":   {0, []string{"t.a", "t.b", "t.c"}, []bool{true, true, true, true, false, false}},
		"beyond the first":     {4, []string{"t.a"}, []bool{true, true, true, true, false, false}},
		"none that is prefix":  {0, []string{"t"}, make([]bool, 6)},
		"none that is unnamed": {1, nil, []bool{true, false, false, false, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			s := mini(t)
			w := brokertest.Start(t, s.consumer(t, "w", "q"))
			for _, m := range [][]byte{
				named("1", "t.a", noETA), named("2", "t.b", noETA), named("3", "t.a", noETA),
				named("4", "t.c", noETA), named("5", "t.a", someETA), named("6", "t.a", noETA),
			} {
				s.Publish(t, "q", 0, m)
			}
			ds, err := w.Consumer.(broker.Starter).TakeStarted(t.Context(), 6, c.start, c.short...)
			if err != nil {
				t.Fatal(err)
			}
			var started []bool
			for _, d := range ds {
				started = append(started, d.Started)
			}
			if !slices.Equal(started, c.want) {
				t.Errorf("started: %v, want %v", started, c.want)
			}
		})
	}
}

func TestOneThatBegunInTheMomentOfTakingCanBeGivenBack(t *testing.T) {
	s := mini(t)
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	s.Publish(t, "q", 0, task("a", noETA))
	ds, err := w.Consumer.(broker.Starter).TakeStarted(t.Context(), 1, 1)
	if err != nil || len(ds) != 1 || !ds[0].Started {
		t.Fatal(ds, err)
	}
	if gone := w.MustSettle(broker.Settlement{Tag: ds[0].Tag, Verb: broker.Restore}); len(gone) != 0 {
		t.Fatalf("gone: %q", gone)
	}
	if len(s.Waiting(t, "q")) != 1 {
		t.Fatal("it does not wait any more")
	}
}

func TestAPeerFindsWhatHadBegunInTheMomentOfTaking(t *testing.T) {
	s := mini(t)
	dead := brokertest.Start(t, s.consumer(t, "dead", "q"))
	s.Publish(t, "q", 0, task("a", noETA))
	if ds, err := dead.Consumer.(broker.Starter).TakeStarted(t.Context(), 1, 1); err != nil || len(ds) != 1 {
		t.Fatal(ds, err)
	}
	dead.Kill()
	peer := brokertest.Start(t, s.consumer(t, "peer", "q"))
	found := brokertest.Await[broker.Orphaned](peer)
	if got := brokertest.IDs(found.Deliveries); !slices.Equal(got, []string{"a"}) || len(s.Waiting(t, "q")) != 0 {
		t.Fatalf("orphaned: %q", got)
	}
}

func TestAWorkerWithNothingInHandShowsNoPresenceAndStillFindsTheDead(t *testing.T) {
	s := mini(t)
	idle := brokertest.Start(t, s.consumer(t, "idle", "q"))
	rests := func() bool {
		return s.client.ZScore(t.Context(), s.keys.presence, "idle").Err() != nil
	}
	deadline := time.Now().Add(10 * testPresence)
	for !rests() {
		if time.Now().After(deadline) {
			t.Fatal("it goes on showing its presence")
		}
		time.Sleep(testPresence / 20) // Redis tells nobody that a member has gone
	}
	dead := brokertest.Start(t, s.consumer(t, "dead", "q"))
	s.Publish(t, "q", 0, task("a", noETA))
	dead.MustTake(1)
	dead.Kill()
	if ev := brokertest.Await[broker.PeerRestored](idle); ev.Peer != "dead" || ev.Count != 1 {
		t.Fatalf("%+v", ev)
	}
	if ds := idle.MustTake(1); len(ds) != 1 || rests() {
		t.Fatal("with a delivery in hand its presence is missing")
	}
}

func TestAnExpiryThatStandsStillIsNoticed(t *testing.T) {
	var w watch
	at := time.Unix(0, 0)
	see := func(id string, expiry float64, after time.Duration) bool {
		at = at.Add(after)
		return w.still(expired{id: id, expiry: expiry}, at, 4*time.Second)
	}
	if see("a", 1, 0) || see("a", 1, 2*time.Second) || !see("a", 1, 2*time.Second) {
		t.Error("one that stands still")
	}
	if see("a", 2, 2*time.Second) || see("b", 1, 2*time.Second) || see("", 0, time.Hour) || see("", 0, time.Hour) {
		t.Error("one that moves, another one, none")
	}
}
