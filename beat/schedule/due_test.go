package schedule

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestDueMomentsThatHavePassedAreMadeUpByPolicy(t *testing.T) {
	second, _ := Every(time.Second)
	minute := cron(t, "* * * * *", time.UTC)
	hourly := cron(t, "0 * * * *", time.UTC)
	for _, c := range []struct {
		why       string
		s         Schedule
		last, now string
		p         Policy
		want      string
		skipped   int
	}{
		{"nothing is due before its time", hourly, "10:00:00", "10:59:59.999", Policy{}, "", 0},
		{"what is due now is", hourly, "10:00:00", "11:00:00", Policy{}, "11:00:00", 0},
		{"a gap begins with the first due moment", hourly, "10:00:00", "11:04:00", Policy{Window: 5 * time.Minute}, "11:00:00", 0},
		{"without a window a gap is made up once", minute, "10:00:00", "10:03:30", Policy{}, "10:03:00", 2},
		{"within the window it is made up whole", minute, "10:00:00", "10:03:30", Policy{Window: 3 * time.Minute}, "10:01:00 10:02:00 10:03:00", 0},
		{"beyond the window once, with the latest", minute, "10:00:00", "20:03:30", Policy{Window: 3 * time.Minute}, "20:03:00", 602},
		{"an interval keeps its grid", second, "10:00:00.250", "10:00:59.999", Policy{}, "10:00:59.25", 58},
		{"no more than so many", second, "10:00:00", "10:00:59", Policy{Window: time.Minute, Max: 2}, "10:00:58 10:00:59", 57},
		{"no more than so many of a crontab", minute, "10:00:00", "10:05:00", Policy{Window: time.Hour, Max: 2}, "10:04:00 10:05:00", 3},
		{"the deadline drops what is older", hourly, "10:00:00", "11:00:31", Policy{StartingDeadline: 30 * time.Second}, "", 1},
		{"the deadline itself is in time", hourly, "10:00:00", "11:00:30", Policy{StartingDeadline: 30 * time.Second}, "11:00:00", 0},
		{"after a long gap the latest may be in time", minute, "10:00:00", "20:00:20", Policy{StartingDeadline: 30 * time.Second}, "20:00:00", 599},
		{"within a window each for itself", minute, "10:00:00", "10:05:00", Policy{StartingDeadline: 90 * time.Second, Window: time.Hour}, "10:04:00 10:05:00", 3},
		{"the deadline is for crontabs only", second, "10:00:00", "11:00:00.5", Policy{StartingDeadline: time.Nanosecond}, "11:00:00", 3599},
		{"a clock that was set back finds nothing", minute, "10:00:00", "09:00:00", Policy{Window: time.Hour}, "", 0},
		{"who is asked in Python is never due here", Asked{Kind: "solar"}, "10:00:00", "11:00:00", Policy{}, "", 0},
	} {
		due, skipped := Due(c.s, clock(t, c.last), clock(t, c.now), c.p)
		var texts []string
		for _, d := range due {
			texts = append(texts, d.Format("15:04:05.999"))
		}
		if got := strings.Join(texts, " "); got != c.want || skipped != c.skipped {
			t.Errorf("%s: %q and %d skipped, want %q and %d", c.why, got, skipped, c.want, c.skipped)
		}
	}
}

func clock(t testing.TB, text string) time.Time {
	t.Helper()
	moment, err := time.Parse("2006-01-02 15:04:05.999", "2026-06-01 "+text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func TestTheLatestDueMomentAndTheCountAreThoseOfGoingThroughAll(t *testing.T) {
	seed := rand.Uint64()
	draw := rand.New(rand.NewPCG(seed, 0))
	for range 150 {
		in := zone(t, twinZones[draw.IntN(len(twinZones))])
		texts := randomCrontab(draw)
		c, err := ParseCrontab(texts[0], texts[1], texts[2], texts[3], texts[4])
		if err != nil {
			continue
		}
		c = c.In(in)
		last := nearAChange(draw, in)
		now := last.Add(time.Duration(draw.Int64N(int64(60 * 24 * time.Hour))))
		var every []time.Time
		for m := c.Next(last); !m.After(now); m = c.Next(m) {
			every = append(every, m)
		}
		due, skipped := Due(c, last, now, Policy{})
		if len(every) == 0 {
			if len(due) != 0 {
				t.Fatalf("seed %d: %v from %s to %s: nothing is due, not %v", seed, c, last, now, due)
			}
			continue
		}
		jumps := 0 // what it makes of a jump is not counted exactly
		for m := last; m.Before(now); {
			_, end := m.In(in).ZoneBounds()
			if end.IsZero() || end.After(now) {
				break
			}
			m, jumps = end, jumps+120 // Troll goes two hours back
		}
		if len(due) != 1 || !due[0].Equal(every[len(every)-1]) || len(every)-1-skipped > jumps || skipped-len(every)+1 > jumps {
			t.Fatalf("seed %d: %v from %s to %s: %v, %d skipped, want %s, %d", seed, c, last, now, due, skipped, every[len(every)-1], len(every)-1)
		}
	}
}

func TestALongOutageIsMadeUpWithoutGoingThroughIt(t *testing.T) {
	last := time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC)
	now := time.Date(2026, 1, 1, 0, 0, 30, 0, time.UTC)
	nano, _ := Every(time.Microsecond)
	daily, _ := RelativeTo(time.Minute, time.UTC)
	for _, s := range []Schedule{nano, daily, cron(t, "* * * * *", time.UTC)} {
		due, skipped := Due(s, last, now, Policy{})
		if len(due) != 1 || now.Sub(due[0]) > time.Minute || skipped < 10*365*24*60 {
			t.Errorf("%v: %v, %d skipped", s, due, skipped)
		}
	}
	if due, skipped := Due(nano, last, last.Add(time.Hour), Policy{Window: 2 * time.Hour, Max: 3}); len(due) != 3 || skipped != 3_600_000_000-3 {
		t.Errorf("%v, %d skipped", due, skipped)
	}
}

func TestPythonsSchedulesAreRead(t *testing.T) {
	const sets = `"sets":{"minute":[0,30],"hour":[2],"day_of_month":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31],"month_of_year":[1,2,3,4,5,6,7,8,9,10,11,12],"day_of_week":[0,1,2,3,4,5,6]}`
	for _, c := range []struct{ spec, want string }{
		{`{"kind":"interval","seconds":30.5,"relative":false}`, "every 30.5s"},
		{`{"kind":"interval","seconds":1e30}`, "every 2562047h47m16.854775807s"},
		{`{"kind":"interval","seconds":0}`, "error: cannot use an interval of 0s"},
		{`{"kind":"interval","seconds":-1}`, "error: cannot use an interval of -1s"},
		{`{"kind":"interval","seconds":86400,"relative":true,"tz":"Europe/Berlin"}`, "every 24h0m0s, on the full day in Europe/Berlin"},
		{`{"kind":"interval","seconds":60,"relative":true}`, `interval {"kind":"interval","seconds":60,"relative":true}`},
		{`{"kind":"interval","seconds":0.5,"relative":true,"tz":"UTC"}`, "every 500ms"},
		{`{"kind":"crontab","minute":"*/30","hour":2,"day_of_month":"*","month_of_year":"*","day_of_week":null,"tz":"UTC",` + sets + `}`, "crontab */30 2 * * 0,1,2,3,4,5,6 in UTC"},
		{`{"kind":"crontab","minute":[0,30],"hour":"2","day_of_month":"*","month_of_year":"*","day_of_week":"*","tz":"Asia/Kolkata",` + sets + `}`, "crontab 0,30 2 * * * in Asia/Kolkata"},
		{`{"kind":"crontab","tz":"Mars/Phobos",` + sets + `}`, `error: cannot use the time zone "Mars/Phobos"`},
		{`{"kind":"crontab","tz":"Local",` + sets + `}`, `error: cannot use the time zone "Local"`},
		{`{"kind":"crontab","tz":"",` + sets + `}`, `error: cannot use the time zone ""`},
		{`{"kind":"crontab","tz":"UTC"}`, "error: cannot use a crontab without its sets"},
		{`{"kind":"crontab","tz":"UTC","sets":{"minute":[60]}}`, "error: cannot use minute 60"},
		{`{"kind":"crontab","tz":"UTC","sets":{"minute":[0],"hour":[0],"day_of_month":[],"month_of_year":[1],"day_of_week":[1]}}`, `error: cannot use day_of_month "": no value matches`},
		{`{"kind":"crontab","tz":"UTC","sets":{"minute":[0],"hour":[0],"day_of_month":[30],"month_of_year":[2],"day_of_week":[1]}}`, "error: cannot use day_of_month \"30\": it never occurs"},
		{`{"kind":"solar","event":"sunset","lat":1}`, `solar {"kind":"solar","event":"sunset","lat":1}`},
		{`{"kind":"rrule"}`, `error: cannot use a schedule of kind "rrule"`},
		{`{`, "error: cannot read the schedule"},
	} {
		s, err := Parse(json.RawMessage(c.spec))
		got := fmt.Sprint(s)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != c.want && !(err != nil && strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %s, want %s", c.spec, got, c.want)
		}
	}
}

func TestRelativeIntervalsEndOnRoundTimes(t *testing.T) {
	for _, c := range []struct {
		zone  string
		every time.Duration
		last  string
		want  string
	}{
		{"UTC", 24 * time.Hour, "2026-01-01 10:11 +0000", "2026-01-02 00:00 +0000; 2026-01-03 00:00 +0000"},
		{"UTC", 90 * time.Minute, "2026-01-01 10:11 +0000", "2026-01-01 11:00 +0000; 2026-01-01 12:00 +0000"},
		{"UTC", time.Minute, "2026-01-01 10:11:12 +0000", "2026-01-01 10:12 +0000; 2026-01-01 10:13 +0000"},
		{"UTC", 30 * time.Second, "2026-01-01 10:11:12.7 +0000", "2026-01-01 10:11:42 +0000"},
		{"Europe/Berlin", 24 * time.Hour, "2026-03-29 00:00 +0100", "2026-03-30 00:00 +0200"},
		{"Europe/Berlin", 24 * time.Hour, "2026-10-25 00:00 +0200", "2026-10-26 00:00 +0100"},
		{"Europe/Berlin", time.Hour, "2026-03-29 01:00 +0100", "2026-03-29 03:00 +0200"},
		{"Europe/Berlin", time.Hour, "2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100; 2026-10-25 03:00 +0100"},
		{"Atlantic/Azores", 24 * time.Hour, "2026-10-25 00:00 +0000", "2026-10-26 00:00 -0100"},
	} {
		s, err := RelativeTo(c.every, zone(t, c.zone))
		if err != nil {
			t.Fatal(err)
		}
		moment := at(t, c.last)
		for want := range strings.SplitSeq(c.want, "; ") {
			next := s.Next(moment)
			if !next.Equal(at(t, want)) {
				t.Fatalf("%v after %s: %s, want %s", s, moment, next, want)
			}
			moment = next
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kind":"interval","seconds":30.5,"relative":true,"tz":"Europe/Berlin"}`), int64(1_774_746_000))
	f.Add([]byte(`{"kind":"crontab","minute":"*","tz":"UTC","sets":{"minute":[0],"hour":[0],"day_of_month":[29],"month_of_year":[2],"day_of_week":[1]}}`), int64(-1))
	f.Fuzz(func(t *testing.T, spec []byte, last int64) {
		s, err := Parse(spec)
		if err != nil {
			return
		}
		moment := time.Unix(last%(1<<35), 0)
		if next := s.Next(moment); !next.IsZero() && !next.After(moment) {
			t.Errorf("%s: %s is not after %s", s, next, moment)
		}
	})
}

func FuzzParseCrontab(f *testing.F) {
	f.Add("*/15", "2", "1-7,15-21/2", "nov-feb", "Fri-mon", int64(1_774_746_000))
	f.Add("0", "0", "29", "2", "sun", int64(3_976_214_400))
	f.Fuzz(func(t *testing.T, minute, hour, dom, month, dow string, last int64) {
		c, err := ParseCrontab(minute, hour, dom, month, dow)
		if err != nil {
			return
		}
		moment := time.Unix(last%(1<<35), 0)
		next := c.Next(moment)
		if !next.After(moment) || next.Second() != 0 || !c.minute.has(next.Minute()) || !c.hour.has(next.Hour()) || !c.month.has(int(next.Month())) {
			t.Errorf("%s after %s: %s", c, moment, next)
		}
		if c.Next(next.Add(-time.Second)) != next {
			t.Errorf("%s is due at %s, but not after the second before", c, next)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	berlin := zone(b, "Europe/Berlin")
	relative, _ := RelativeTo(time.Hour, berlin)
	for name, s := range map[string]Schedule{
		"every minute in UTC":        cron(b, "* * * * *", time.UTC),
		"quarters in Berlin":         cron(b, "*/15 * * * *", berlin),
		"monthly in Berlin":          cron(b, "30 2 1 * *", berlin),
		"leap Sunday in Berlin":      cron(b, "0 0 29 2 sun", berlin),
		"relative hour, Berlin":      relative,
		"fixed weekday in Lord_Howe": cron(b, "0 9 * * mon-fri", zone(b, "Australia/Lord_Howe")),
	} {
		b.Run(name, func(b *testing.B) {
			moment := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
			for b.Loop() {
				s.Next(moment)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	var zones Parser
	spec := json.RawMessage(`{"kind":"crontab","minute":"*/30","hour":2,"tz":"Europe/Berlin","sets":{"minute":[0,30],"hour":[2],"day_of_month":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31],"month_of_year":[1,2,3,4,5,6,7,8,9,10,11,12],"day_of_week":[0,1,2,3,4,5,6]}}`)
	for b.Loop() {
		if _, err := zones.parse(spec); err != nil {
			b.Fatal(err)
		}
	}
}
