package leader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"crisper/beat"
	"crisper/beat/app"
	"crisper/beat/beattest"
	"crisper/beat/lease"
	"crisper/beat/lease/leasetest"
	"crisper/beat/message"
	"crisper/beat/ops"
	"crisper/broker"
)

// bench is a service whose app has been read, with publishers in memory. There is no
// Python: what needs it waits.
type bench struct {
	*service
	t      *testing.T
	memory *beattest.Memory
	seen   *observer.ObservedLogs
	cause  error // with which the service wanted to end
}

const schedName = "test"

func newBench(t *testing.T, entries ...app.Entry) *bench {
	core, seen := observer.New(zap.DebugLevel)
	log := zap.New(core)
	b := &bench{t: t, memory: beattest.NewMemory(), seen: seen}
	b.service = &service{
		cfg: Defaults(), log: log, clock: clock{own: time.Now}, metrics: ops.NewMetrics("test"),
		apps: newApps(app.Options{}, time.Minute, log), stop: func(cause error) { b.cause = cause },
		site: Site{Schedule: schedName, Publisher: b.memory.Connect(t)},
	}
	var record leasetest.Memory
	b.elector = lease.New(record.Open(), lease.Options{})
	b.load(entries...)
	return b
}

func (b *bench) load(entries ...app.Entry) {
	b.apps.mu.Lock()
	defer b.apps.mu.Unlock()
	b.apps.now.entries, b.apps.now.plan = entries, makePlan(entries, policyOf(b.info, time.Minute))
	b.apps.now.version++
	b.apps.tell()
}

// every is an entry with a blueprint.
func every(name string, seconds float64) app.Entry {
	blueprint, err := message.Parse("route {\"exchange\":\"\",\"exchange_type\":\"direct\",\"routing_key\":\"q\",\"priority\":0,\"zone\":\"UTC\",\"wall\":false}\n" +
		"envelope {\"id\": \"\x1aI\x1a\"}\n")
	if err != nil {
		panic(err)
	}
	spec, _ := json.Marshal(map[string]any{"kind": "interval", "seconds": seconds, "relative": false, "tz": "UTC"})
	return app.Entry{Name: name, Task: "proj." + name, Schedule: spec, Blueprint: blueprint}
}

// lead leads for so long.
func (b *bench) lead(token uint64, length time.Duration) {
	ctx, cancel := context.WithTimeout(b.t.Context(), length)
	defer cancel()
	b.service.lead(ctx, lease.Term{Token: token})
}

// want compares what was sent of one entry with the due moments, in seconds.
func (b *bench) want(entry string, begin time.Time, seconds ...float64) {
	b.t.Helper()
	moments := map[string]float64{}
	for n := range 10_000 {
		s := float64(n) / 2
		moments[beat.TaskID(schedName, entry, begin.Add(time.Duration(s*float64(time.Second))))] = s
	}
	var got []float64
	for _, id := range b.memory.Sent(b.t, "q") {
		if s, mine := moments[id]; mine {
			got = append(got, s)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(seconds) {
		b.t.Errorf("%s: sent\n%v, want\n%v", entry, got, seconds)
	}
}

func pass(d time.Duration) {
	time.Sleep(d) // virtual: it takes no time
}

func until(last int) (seconds []float64) {
	for n := 1; n <= last; n++ {
		seconds = append(seconds, float64(n))
	}
	return seconds
}

func TestEveryTickOfATermIsSentAtItsMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, every("one", 1), every("slow", 2.5), app.Entry{Name: "bad", Error: "no"})
		begin := time.Now()
		b.lead(1, 5500*time.Millisecond)
		b.want("one", begin, until(5)...)
		b.want("slow", begin, 2.5, 5)
		counts := b.metrics.Counts()
		if counts.Ticks["published"] != 7 || counts.CaughtUp != 0 || counts.Terms != 1 {
			t.Errorf("%+v", counts)
		}
		if n := b.seen.FilterMessage("Scheduler: Sending due task one (proj.one)").Len(); n != 5 {
			t.Errorf("%d log lines as Celery's", n)
		}
		if _, kept := b.memory.Records()["bad"]; !kept {
			t.Error("the record of an invalid entry was dropped")
		}
	})
}

func TestTheNextLeaderGoesOnWhereTheLastOneStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, every("one", 1))
		begin := time.Now()
		b.lead(1, 3200*time.Millisecond)
		pass(6 * time.Second) // nobody leads
		b.lead(2, 2*time.Second)
		b.want("one", begin, until(11)...)
		if got := b.metrics.Counts().CaughtUp; got < 4 {
			t.Errorf("%d ticks were made up", got)
		}
	})
}

func TestAShortOutageIsMadeUpTickByTickAndALongOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, every("one", 1))
		begin := time.Now()
		outage := func(at, length time.Duration) {
			pass(time.Until(begin.Add(at)))
			heal := b.memory.Cut(t)
			pass(length)
			heal()
		}
		go func() { outage(2500*time.Millisecond, 30*time.Second); outage(40500*time.Millisecond, 5*time.Minute) }()
		b.lead(1, 344500*time.Millisecond)
		want := until(40)
		// The gap from 41 s on is longer than the window: one tick, the latest.
		for n := 340; n <= 344; n++ {
			want = append(want, float64(n))
		}
		b.want("one", begin, want...)
		counts := b.metrics.Counts()
		if counts.Skipped["gap"] != 299 || counts.PublishErrors == 0 {
			t.Errorf("%+v", counts)
		}
	})
}

func TestALostAnswerDoublesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, every("one", 1))
		begin := time.Now()
		go func() {
			pass(1500 * time.Millisecond)
			heal := b.memory.LoseAnswers(t)
			pass(3 * time.Second)
			heal()
		}()
		b.lead(1, 8500*time.Millisecond)
		b.want("one", begin, until(8)...)
	})
}

func TestALeaderThatWasReplacedSendsNothingMoreAndEndsItsTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, every("one", 1))
		begin := time.Now()
		go func() {
			pass(2500 * time.Millisecond)
			if _, err := b.memory.Connect(t).Register(t.Context(), 7, map[string]beat.Record{"one": {Last: begin}}); err != nil {
				t.Error(err)
			}
		}()
		b.lead(3, time.Hour)
		b.want("one", begin, 1, 2)
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("the term ended after %s", took)
		}
		if b.seen.FilterMessage("another has led since; the term ends").Len() != 1 {
			t.Error("it is not said")
		}
	})
}

// refusing is a publisher that is not let in.
type refusing struct{ beat.Publisher }

func (refusing) Register(context.Context, uint64, map[string]beat.Record) (map[string]beat.Record, error) {
	return nil, fmt.Errorf("%w: WRONGPASS", broker.ErrRefused)
}

func TestARefusalEndsTheReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, every("one", 1))
		b.site.Publisher = refusing{}
		b.lead(1, time.Hour)
		if !errors.Is(b.cause, broker.ErrRefused) {
			t.Errorf("it ended for %v", b.cause)
		}
	})
}

func TestWhatNeedsPythonWaitsForItAndHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := every("asked", 1)
		asked.Blueprint, asked.Ask = message.Blueprint{}, "a signal has a receiver"
		solar := app.Entry{Name: "sun", Task: "proj.sun", Schedule: json.RawMessage(`{"kind":"solar","event":"sunrise"}`)}
		b := newBench(t, every("one", 1), asked, solar)
		begin := time.Now()
		b.lead(1, 3500*time.Millisecond)
		b.want("one", begin, 1, 2, 3)
		b.want("asked", begin)
		if got := b.metrics.Counts(); got.Skipped["gap"] != 0 || got.Unmade != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestAReloadKeepsRecordsAndDropsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, every("one", 1), every("gone", 1))
		begin := time.Now()
		go func() {
			pass(2500 * time.Millisecond)
			b.apps.mu.Lock()
			b.apps.now.app, b.apps.now.generation = nil, 1
			b.apps.mu.Unlock()
			b.load(every("one", 2), every("fresh", 1))
		}()
		// Without a process nobody announces it: the term takes it over by hand.
		go func() {
			pass(2600 * time.Millisecond)
			term := b.term.Load()
			term.post(term.refresh)
		}()
		b.lead(1, 6700*time.Millisecond)
		b.want("one", begin, 1, 2, 4, 6)
		b.want("gone", begin, 1, 2)
		b.want("fresh", begin.Add(2600*time.Millisecond), 1, 2, 3, 4)
		if _, kept := b.memory.Records()["gone"]; kept {
			t.Error("the record of an entry that is gone was kept")
		}
	})
}

func TestTheProbeSeesThatALeadersTickIsOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, every("one", 1))
		b.site.Publisher = hanging{b.memory.Connect(t)}
		b.campaigning.Store(true)
		go func() {
			pass(90 * time.Second)
			h := ops.Health{LoopAt: time.Now(), Term: b.termHealth.Load()}
			if ok, why := h.Live(time.Now()); ok {
				t.Errorf("live: %s", why)
			}
		}()
		b.lead(1, 100*time.Second)
	})
}

// hanging is a publisher that never answers, whatever it is told.
type hanging struct{ beat.Publisher }

func (hanging) Publish(ctx context.Context, _ uint64, _ []beat.Publication) ([]beat.Outcome, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// waiting is a publisher that keeps every request waiting.
type waiting struct{ hanging }

func (waiting) Waiting() bool { return true }

func TestATermThatEndsWaitsForWhatIsOnItsWayAndNotForWhatHasNotSetOut(t *testing.T) {
	for what, row := range map[string]struct {
		publisher beat.Publisher
		want      time.Duration
	}{
		"on its way":  {hanging{beattest.NewMemory().Connect(t)}, time.Minute + linger},
		"not set out": {waiting{hanging{beattest.NewMemory().Connect(t)}}, time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, every("a", 1))
			b.site.Publisher = row.publisher
			begin := time.Now()
			b.lead(1, time.Minute)
			if got := time.Since(begin); got != row.want {
				t.Errorf("%s: the term took %s, not %s", what, got, row.want)
			}
		})
	}
}
