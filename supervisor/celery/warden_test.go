package celery

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"crisper/broker"
	"crisper/supervisor/celery/hang"
	"crisper/supervisor/ops"
)

// scribe is a keeper that writes down what it is asked and fails when told to.
type scribe struct {
	failures int
	renewed  [][]broker.Held
	restored [][]broker.Held
	ready    map[string]int64
	closed   bool
}

func (s *scribe) fails() error {
	if s.failures--; s.failures >= 0 {
		return errors.New("the broker is away")
	}
	return nil
}

func (s *scribe) Visibility() time.Duration { return 30 * time.Second }
func (s *scribe) Close()                    { s.closed = true }

func (s *scribe) Ready(context.Context, []string) (map[string]int64, error) {
	return s.ready, s.fails()
}

func (s *scribe) Renew(_ context.Context, held []broker.Held) ([]float64, error) {
	s.renewed = append(s.renewed, held)
	scores := make([]float64, len(held))
	for i := range scores {
		scores[i] = 5e9
	}
	return scores, s.fails()
}

func (s *scribe) Restore(_ context.Context, held []broker.Held) (out []broker.Returned, err error) {
	if err := s.fails(); err != nil {
		return nil, err
	}
	s.restored = append(s.restored, held)
	for _, h := range held {
		out = append(out, broker.Returned{Tag: h.Tag})
	}
	return out, nil
}

// attended is an attendant whose worker has said hello and of its broker.
func attended(t *testing.T, s *scribe, care Care, end func(bool)) (*Attendant, *observer.ObservedLogs) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	core, logs := observer.New(zapcore.InfoLevel)
	care.OpenKeeper = func(BrokerInfo) (broker.Keeper, error) { return s, nil }
	a := NewAttendant(care, zap.New(core), "celery")
	if _, _, err := a.Prepare(nil, ops.NewMetrics(ops.NewRegistry()), nil, end); err != nil {
		t.Fatal(err)
	}
	return a, logs
}

func TestWhatAPrefixedWorkerHeldIsGivenBackBeforeItsEndIsOver(t *testing.T) {
	s := &scribe{failures: 1}
	a, logs := attended(t, s, Care{PoisonLimit: 3}, nil)
	said := `{"said":"hello"}
{"said":"ready","pool":"prefork"}
{"said":"broker","broker":{"urls":["redis://"]}}
{"said":"counts","accep`
	if _, err := a.theirs[0].WriteString(said); err != nil {
		t.Fatal(err)
	}
	writes(t, a.theirs[1], fact('t', 1, "a"), begins(2, "a", "id-a", "proj.late", 1), fact('t', 3, "b"), fact('t', 4, "c"),
		begins(5, "c", "id-c", "proj.early", 0), fact('s', 6, "c"))
	a.Started()
	a.Ended("signal 9 (SIGKILL)", time.Minute, time.Minute)
	if len(s.restored) != 1 || len(s.restored[0]) != 2 || s.restored[0][0] != (broker.Held{Tag: "a", Low: 1, High: 1.2, Died: true, Limit: 3}) || s.restored[0][1].Tag != "b" {
		t.Errorf("restored %+v", s.restored)
	}
	if gone := logs.FilterMessageSnippet("gone with its worker").All(); len(gone) != 1 || gone[0].ContextMap()["id"] != "id-c" {
		t.Errorf("gone: %v", gone)
	}
	for _, line := range logs.All() {
		if strings.Contains(line.Message, "agent of a worker is off") {
			t.Error("a line that was cut by a death is not nonsense")
		}
	}
}

func TestNobodyIsBlamedForTheDeathOfAWorkerThatWasToldToLeave(t *testing.T) {
	s := &scribe{}
	a, _ := attended(t, s, Care{PoisonLimit: 3}, nil)
	_, _ = a.theirs[0].WriteString("{\"said\":\"broker\",\"broker\":{}}\n") // as above
	writes(t, a.theirs[1], fact('t', 1, "a"), begins(2, "a", "id", "n", 1))
	a.Started()
	a.Leaving()
	a.Ended("signal 9 (SIGKILL)", time.Minute, time.Minute)
	if len(s.restored) != 1 || s.restored[0][0].Died {
		t.Errorf("restored %+v", s.restored)
	}
}

func TestRenewalIsTriedAgainInTheNextRoundAndTheFailureIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		s := &scribe{failures: 2}
		w := newWarden(Care{OpenKeeper: func(BrokerInfo) (broker.Keeper, error) { return s, nil }}, zap.New(core), nil)
		done := make(chan func())
		w.post = func(do func()) { done <- do }
		c := &child{id: 1}
		w.children[1] = c
		c.keeper = w.keeperFor(BrokerInfo{})
		if _, err := c.hand.Read(append(fact('t', 1, "old"), fact('t', 5e9, "of this moment")...)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(c.keeper.renewal()) // no real time passes here
		for range 3 {
			w.keep()
			(<-done)()
			time.Sleep(longestRound) // no real time passes here
		}
		w.keep() // not yet due again
		(<-done)()
		if len(s.renewed) != 3 || len(s.renewed[2]) != 1 || s.renewed[2][0].Tag != "old" {
			t.Errorf("renewed %+v", s.renewed)
		}
		if held := c.hand.Deliveries(1e12); held[0].Low != 5e9 {
			t.Errorf("the new score is not known: %+v", held)
		}
		if n := logs.FilterMessageSnippet("cannot look after").Len(); n != 1 {
			t.Errorf("told %d times", n)
		}
		w.closeKeepers()
		if !s.closed {
			t.Error("not closed")
		}
	})
}

func TestWhatAWorkerForgetsWithItsConnectionIsGivenBackByTheScoresOfARenewalUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scribe{}
		w := newWarden(Care{OpenKeeper: func(BrokerInfo) (broker.Keeper, error) { return s, nil }}, zap.NewNop(), ops.NewMetrics(ops.NewRegistry()))
		done := make(chan func())
		w.post = func(do func()) { done <- do }
		c := &child{id: 1}
		w.children[1] = c
		c.keeper = w.keeperFor(BrokerInfo{})
		read := func(records ...[]byte) {
			for _, r := range records {
				if _, err := c.hand.Read(r); err != nil {
					t.Fatal(err)
				}
			}
		}
		read(fact('t', 1, "waits"), fact('t', 2, "runs"), begins(3, "runs", "id", "proj.late", 1))
		time.Sleep(c.keeper.renewal()) // no real time passes here
		w.keep()
		w.onSaid(1, said{Said: "anew"})
		read(fact('t', 4, "taken since"))
		(<-done)() // the answer to the renewal
		(<-done)()
		if len(s.restored) != 1 || len(s.restored[0]) != 1 || s.restored[0][0] != (broker.Held{Tag: "waits", Low: 5e9, High: 5e9}) {
			t.Errorf("restored %+v", s.restored)
		}
		if held := c.hand.Deliveries(1e12); len(held) != 2 || w.returning != 0 {
			t.Errorf("in hand: %+v, %d on their way back", held, w.returning)
		}
	})
}

func TestNothingIsGivenBackWhileAnotherWorkerDies(t *testing.T) {
	s := &scribe{}
	w := newWarden(Care{OpenKeeper: func(BrokerInfo) (broker.Keeper, error) { return s, nil }}, zap.NewNop(), ops.NewMetrics(ops.NewRegistry()))
	done := make(chan func())
	w.post = func(do func()) { done <- do }
	dead, dying := &child{id: 1}, &child{id: 2, dying: true}
	dead.keeper = w.keeperFor(BrokerInfo{})
	w.children[2] = dying
	if _, err := dead.hand.Read(fact('t', 1, "held")); err != nil {
		t.Fatal(err)
	}
	w.giveBack(dead, "signal 9 (SIGKILL)")
	if len(w.waiting) != 1 || w.returning != 1 {
		t.Fatalf("%d wait, %d on their way back", len(w.waiting), w.returning)
	}
	delete(w.children, 2)
	w.goOn()
	(<-done)()
	if len(s.restored) != 1 || w.returning != 0 {
		t.Errorf("restored %+v", s.restored)
	}
}

func TestNothingIsGivenBackWhileTheKernelMayKillTheNextWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scribe{}
		w := newWarden(Care{OpenKeeper: func(BrokerInfo) (broker.Keeper, error) { return s, nil }}, zap.NewNop(), ops.NewMetrics(ops.NewRegistry()))
		done := make(chan func())
		w.post = func(do func()) { done <- do }
		dead := &child{id: 1, struck: true, keeper: w.keeperFor(BrokerInfo{})}
		w.children[2] = &child{id: 2}
		if _, err := dead.hand.Read(fact('t', 1, "held")); err != nil {
			t.Fatal(err)
		}
		died := time.Now()
		w.giveBack(dead, "signal 9 (SIGKILL)")
		(<-done)()
		if waited := time.Since(died); waited != moreDeaths || len(w.waiting) > 0 {
			t.Errorf("it waited %s, and %d wait", waited, len(w.waiting))
		}
		(<-done)()
		if len(s.restored) != 1 || w.returning != 0 {
			t.Errorf("restored %+v", s.restored)
		}
	})
}

func TestAWorkerThatTakesNothingIsHandedToItsOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scribe{ready: map[string]int64{"default": 3}}
		w := newWarden(Care{HangTimeout: time.Minute, OpenKeeper: func(BrokerInfo) (broker.Keeper, error) { return s, nil }}, zap.NewNop(), nil)
		done := make(chan func())
		w.post = func(do func()) { done <- do }
		var found []hang.Hung
		w.hung = func(_ *child, h hang.Hung) { found = append(found, h) }
		w.ready, w.counted = func(*child) {}, func(*child, counts) {}
		w.children[1] = &child{id: 1}
		free := true
		for _, line := range []said{{Said: "ready", Pool: "prefork"}, {Said: "broker"}, {Said: "counts", counts: counts{Room: &free, Queues: []string{"default"}}}} {
			w.onSaid(1, line)
		}
		begun := time.Now()
		for len(found) == 0 && time.Since(begun) < 5*time.Minute {
			w.keep()
			(<-done)()
			time.Sleep(longestRound) // no real time passes here
		}
		if len(found) != 1 || !found[0].Deaf || time.Since(begun) > 75*time.Second {
			t.Errorf("found %+v after %s", found, time.Since(begun))
		}
	})
}
