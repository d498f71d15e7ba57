package native

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"crisper/broker"
	"crisper/supervisor/ledger"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestAKindIsShortOnlyAfterEnoughShortRunsAndNotAfterALongOne(t *testing.T) {
	k := &taskKind{name: "x"}
	for range enoughSeen - 1 {
		k.observe(time.Millisecond)
	}
	if k.short() {
		t.Error("short before enough was seen")
	}
	k.observe(time.Millisecond)
	if !k.short() {
		t.Error("not short after eight runs of a millisecond")
	}
	k.observe(100 * time.Millisecond)
	if k.short() {
		t.Error("still short after a run of 100 ms")
	}
}

func TestAutoscaleGoesUpAtOnceAndDownByOneAfterKeepalive(t *testing.T) {
	a := autoscale{min: 2, max: 8, keepalive: 30 * time.Second, lastUp: noon}
	steps := []struct {
		after       time.Duration
		slots, work int
		want        int
	}{
		{0, 2, 0, 2},
		{time.Second, 2, 5, 5},
		{2 * time.Second, 5, 100, 8},
		{20 * time.Second, 8, 1, 8},
		{33 * time.Second, 8, 1, 7},
		{40 * time.Second, 7, 1, 7},
		{64 * time.Second, 7, 1, 6},
		{65 * time.Second, 6, 6, 6},
		{94 * time.Second, 6, 0, 6},
		{200 * time.Second, 6, 0, 5},
	}
	for _, s := range steps {
		if got := a.want(noon.Add(s.after), s.slots, s.work); got != s.want {
			t.Errorf("after %s with %d slots and %d tasks: want %d slots, got %d", s.after, s.slots, s.work, s.want, got)
		}
	}
}

func TestARingKeepsTheNewest(t *testing.T) {
	r := newRing[int](3)
	for i := range 5 {
		r.add(i)
	}
	var got []int
	r.newestFirst(func(i int) { got = append(got, i) })
	if !slices.Equal(got, []int{4, 3, 2}) {
		t.Errorf("got %v", got)
	}
}

func TestPatienceGrowsWithFailuresInARowAndForgives(t *testing.T) {
	var p patience
	var got []time.Duration
	for _, at := range []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second, time.Minute} {
		got = append(got, p.next(noon.Add(at)))
	}
	want := []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 0}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTheEarliestOfTwoTimesIgnoresZero(t *testing.T) {
	later := noon.Add(time.Second)
	for _, c := range [][3]time.Time{{noon, later, noon}, {later, noon, noon}, {{}, noon, noon}, {noon, {}, noon}, {{}, {}, {}}} {
		if got := earliest(c[0], c[1]); !got.Equal(c[2]) {
			t.Errorf("earliest(%v, %v) = %v", c[0], c[1], got)
		}
	}
}

func TestMemoryIsGivenBackAfterTheStartAndThenAtMostOnceAMinuteWhileNothingIsInHand(t *testing.T) {
	trims := 0
	l := &loop{book: ledger.New[task](), connected: true, exhausted: true, now: noon, deps: Deps{Trim: func() { trims++ }}}
	steps := []struct {
		after   time.Duration
		ready   bool
		waiting bool // there are messages that have not been taken
		want    int
	}{
		{0, false, false, 0},
		{time.Second, true, true, 1}, // the start is over, whatever there is to do
		{30 * time.Second, true, false, 1},
		{2 * time.Minute, true, true, 1},
		{2*time.Minute + time.Second, true, false, 2},
		{3 * time.Minute, true, false, 2},
	}
	for _, s := range steps {
		l.now, l.exhausted = noon.Add(s.after), !s.waiting
		if s.ready && l.readyAt.IsZero() {
			l.readyAt = l.now
		}
		l.trim()
		if l.work.Wait(); trims != s.want {
			t.Errorf("after %s: %d times, want %d", s.after, trims, s.want)
		}
	}
}

func TestTheLoopRestsOnlyWithNothingInHandAndMeasuresInTimeOtherwise(t *testing.T) {
	l := &loop{book: ledger.New[task](), connected: true, exhausted: true, now: noon, readyAt: noon, measuredAt: noon}
	if !l.resting() || !l.nextMeasure().Equal(noon.Add(measureIdle)) {
		t.Errorf("an idle loop: resting %t, next measurement %s", l.resting(), l.nextMeasure())
	}
	if _, err := l.book.Take(broker.Delivery{Tag: "1"}); err != nil {
		t.Fatal(err)
	}
	if l.resting() || !l.nextMeasure().Equal(noon.Add(measureIdle)) {
		t.Errorf("with a task and no limit: resting %t, next measurement %s", l.resting(), l.nextMeasure())
	}
	if l.cfg.WatchMemory = true; !l.nextMeasure().Equal(noon.Add(measureBusy)) {
		t.Errorf("with a task and a limit: next measurement %s", l.nextMeasure())
	}
}

func TestALimitOfETAsBoundsAllThatIsHeldWhileSomethingWaits(t *testing.T) {
	for _, c := range []struct{ limit, multiplier, waiting, window, want int }{
		{0, 4, 100, 8, 8},    // no limit
		{10, 0, 100, 50, 50}, // an unlimited prefetch count is never raised
		{10, 4, 0, 8, 8},
		{3, 4, 0, 8, 8},    // nothing waits: the limit says nothing, as in Celery
		{10, 4, 0, 72, 10}, // but what lies in sockets is not Celery's
		{10, 4, 1, 72, 9},
		{10, 4, 4, 8, 6},
		{10, 4, 10, 8, 0},
		{3, 4, 5, 8, -2},
	} {
		l := &loop{cfg: Config{ETALimit: c.limit, PrefetchMultiplier: c.multiplier}, slots: 2, book: ledger.New[task]()}
		for i := range c.waiting {
			e, err := l.book.Take(broker.Delivery{Tag: broker.Tag(fmt.Sprint(i))})
			if err == nil {
				err = l.book.Schedule(e, noon)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := l.limitETA(c.window); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
