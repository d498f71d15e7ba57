package planner

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"crisper/beat"
	"crisper/beat/schedule"
)

// world is a store that sends each tick once, and whoever leads.
type world struct {
	t       *testing.T
	draw    *rand.Rand
	seed    uint64
	now     time.Time
	entries []Entry
	records map[string]beat.Record
	sent    map[string][]time.Time
	planner *Planner
	alarm   time.Time
	open    []beat.Tick // a Publish without an answer
}

func TestThroughFailuresAndNewLeadersNoTickIsMissedAndNoneDoubled(t *testing.T) {
	for range 60 {
		seed := rand.Uint64()
		w := &world{
			t: t, seed: seed, draw: rand.New(rand.NewPCG(seed, 0)), now: time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC),
			records: map[string]beat.Record{}, sent: map[string][]time.Time{},
		}
		w.populate()
		begin := w.now
		w.lead()
		for range 400 {
			w.happen()
		}
		for range 20 {
			w.calm()
		}
		w.check(begin)
	}
}

func (w *world) populate() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range 12 {
		var s schedule.Schedule
		if i%2 == 0 {
			s, err = schedule.Every(time.Duration(1+w.draw.IntN(90_000)) * time.Millisecond)
		} else {
			var c *schedule.Crontab
			c, err = schedule.ParseCrontab([]string{"*", "*/7", "30", "0-59/3"}[w.draw.IntN(4)], []string{"*", "0,1,2", "*/2"}[w.draw.IntN(3)], "*", "*", "*")
			s = c.In(berlin)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.entries = append(w.entries, Entry{Name: fmt.Sprint("e", i), Schedule: s, Policy: schedule.Policy{Window: 100 * time.Hour}})
	}
}

// lead begins a term: the records are those of the store.
func (w *world) lead() {
	w.planner, _ = New(Config{Batch: 1 + w.draw.IntN(40), MaxInterval: 5 * time.Minute})
	w.open, w.alarm = nil, time.Time{}
	for _, e := range w.entries {
		if _, ok := w.records[e.Name]; !ok {
			w.records[e.Name] = beat.Record{Last: w.now}
		}
	}
	w.step(Loaded{Entries: w.entries, Records: w.records})
}

func (w *world) happen() {
	switch n := w.draw.IntN(20); {
	case n == 0:
		w.lead()
	case n == 1:
		w.now = w.now.Add(time.Duration(w.draw.IntN(600)) * time.Second)
		w.step(Woke{})
	case n == 2 && len(w.open) == 0:
		w.now = w.now.Add(-time.Duration(w.draw.IntN(60)) * time.Second)
		w.step(Woke{})
	case n == 3:
		w.step(Reloaded{Entries: w.entries, Records: w.records})
	case n < 7 && len(w.open) > 0:
		if w.draw.IntN(2) == 0 {
			w.store()
		}
		w.step(Failed{Retry: time.Duration(w.draw.IntN(3000)) * time.Millisecond})
	default:
		w.calm()
	}
}

// calm is what happens when nothing goes wrong.
func (w *world) calm() {
	if len(w.open) > 0 {
		w.now = w.now.Add(time.Millisecond)
		w.step(Published{Outcomes: w.store()})
		return
	}
	if w.alarm.After(w.now) {
		w.now = w.alarm
	}
	w.step(Woke{})
}

// store carries out what is open, as the real ones do.
func (w *world) store() []beat.Outcome {
	var outcomes []beat.Outcome
	for _, tick := range w.open {
		outcome := beat.Already
		if r := w.records[tick.Entry]; tick.Due.After(r.Last) {
			outcome = beat.Published
			w.records[tick.Entry] = beat.Record{Last: tick.Due, Count: r.Count + 1}
			w.sent[tick.Entry] = append(w.sent[tick.Entry], tick.Due)
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes
}

func (w *world) step(ev Event) {
	switch ev.(type) {
	case Published, Failed:
		w.open = nil
	}
	for _, act := range w.planner.Step(w.now, ev, nil) {
		switch act := act.(type) {
		case Publish:
			w.published(act.Ticks)
		case WakeAt:
			w.alarm = act.At
		case Skipped:
			w.t.Fatalf("seed %d: %+v, although the window is longer", w.seed, act)
		}
	}
	if len(w.open) == 0 && (!w.alarm.After(w.now) || w.alarm.Sub(w.now) > 5*time.Minute) {
		w.t.Fatalf("seed %d: at %s the alarm is at %s", w.seed, w.now, w.alarm)
	}
}

func (w *world) published(ticks []beat.Tick) {
	if len(w.open) > 0 {
		w.t.Fatalf("seed %d: a second Publish", w.seed)
	}
	w.open = ticks
	last := map[string]time.Time{}
	for _, tick := range ticks {
		if !tick.Due.After(last[tick.Entry]) || tick.Due.After(w.now) {
			w.t.Fatalf("seed %d: %v in %v at %s", w.seed, tick, ticks, w.now)
		}
		last[tick.Entry] = tick.Due
	}
}

// check compares what was sent with the schedules themselves.
func (w *world) check(begin time.Time) {
	for _, e := range w.entries {
		var want []time.Time
		for t := e.Schedule.Next(begin); !t.After(w.records[e.Name].Last); t = e.Schedule.Next(t) {
			want = append(want, t)
		}
		if got := w.sent[e.Name]; !slices.Equal(got, want) {
			w.t.Fatalf("seed %d: %s (%v): sent %d, want %d", w.seed, e.Name, e.Schedule, len(got), len(want))
		}
		if got := w.records[e.Name].Count; got != int64(len(want)) {
			w.t.Fatalf("seed %d: %s: counted %d, want %d", w.seed, e.Name, got, len(want))
		}
	}
}

func TestAPreviewListsWhatIsComingInOrder(t *testing.T) {
	every, _ := schedule.Every(40 * time.Minute)
	hourly, _ := schedule.ParseCrontab("0", "*", "*", "*", "*")
	entries := []Entry{
		{Name: "b", Schedule: every}, {Name: "a", Schedule: hourly},
		{Name: "python", Schedule: schedule.Asked{Kind: "solar"}},
	}
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var got []string
	for c := range Preview(entries, from, from.Add(2*time.Hour)) {
		got = append(got, c.Entry+c.Due.Format("@15:04"))
	}
	if want := []string{"b@00:40", "a@01:00", "b@01:20", "a@02:00", "b@02:00"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for range Preview(entries, from, from.Add(time.Hour)) {
		break // who has seen enough may leave
	}
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no batch, no interval, no error")
	}
}

func TestAnAnswerThatFitsNoPublishIsTakenForAFailure(t *testing.T) {
	p, _ := New(Defaults())
	every, _ := schedule.Every(time.Second)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p.Step(now, Loaded{Entries: []Entry{{Name: "a", Schedule: every}}}, nil)
	if acts := p.Step(now, Published{Outcomes: []beat.Outcome{beat.Published}}, nil); len(acts) != 0 {
		t.Errorf("%v for an answer to nothing", acts)
	}
	p.Step(now.Add(time.Second), Woke{}, nil)
	p.Step(now.Add(time.Second), Published{}, nil)
	acts := p.Step(now.Add(2*time.Second), Woke{}, nil)
	if publish, ok := acts[0].(Publish); !ok || !publish.Ticks[0].Due.Equal(now.Add(2*time.Second)) {
		t.Errorf("%v", acts)
	}
}

// many are entries of about a minute each, of both kinds.
func many(n int) []Entry {
	entries := make([]Entry, n)
	var p schedule.Parser
	for i := range entries {
		spec := fmt.Sprintf(`{"kind":"interval","seconds":%f}`, 60+float64(i%6000)/1000)
		if i%10 == 0 {
			spec = `{"kind":"crontab","minute":"*","tz":"Europe/Berlin","sets":{"minute":[0,1,2,3,4,5,6,7,8,9],"hour":[2],"day_of_month":[1],"month_of_year":[2],"day_of_week":[1]}}`
		}
		s, err := p.Parse(json.RawMessage(spec))
		if err != nil {
			panic(err)
		}
		entries[i] = Entry{Name: fmt.Sprint("entry-", i), Schedule: s, Policy: schedule.Policy{Window: time.Minute}}
	}
	return entries
}

func BenchmarkLoaded(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			entries := many(n)
			now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
			b.ReportAllocs()
			for b.Loop() {
				p, _ := New(Defaults())
				p.Step(now, Loaded{Entries: entries}, nil)
			}
		})
	}
}

// BenchmarkMinute is a simulated minute of work: each iteration takes and settles
// what is due in it, as it comes due.
func BenchmarkMinute(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
			p, _ := New(Defaults())
			acts := p.Step(now, Loaded{Entries: many(n)}, nil)
			ticks, steps := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				for end := now.Add(time.Minute); now.Before(end); steps++ {
					var ev Event = Woke{}
					for _, act := range acts {
						switch act := act.(type) {
						case Publish:
							ticks += len(act.Ticks)
							ev = Published{Outcomes: make([]beat.Outcome, len(act.Ticks))}
						case WakeAt:
							if len(p.batch) == 0 {
								now = act.At
							}
						}
					}
					acts = p.Step(now, ev, acts[:0])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(1, ticks)), "ns/tick")
			b.ReportMetric(float64(ticks)/float64(b.N), "ticks/op")
		})
	}
}
