//go:build integration

package planner

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"crisper/beat"
	"crisper/beat/schedule"
)

// run is one tick that was sent.
type run struct {
	entry string
	at    time.Time
}

func TestAYearHasTheTicksThatStockBeatSendsAndThoseOfTheRepeatedHour(t *testing.T) {
	for _, c := range []struct {
		zone, start string
		days        int
		// What stock beat leaves out, when the clock shows an hour for the second time
		// (celery #10107): for entries that follow a rhythm.
		extra map[string]int
	}{
		{"Europe/Berlin", "2026-01-01T00:00:00Z", 365, map[string]int{"quarters": 4, "hourly": 1}},
		{"Australia/Lord_Howe", "2026-03-20T00:00:00Z", 30, map[string]int{"quarters": 2, "stepped-at-one": 1}},
		{"America/New_York", "2028-02-20T00:00:00Z", 30, nil},
		{"America/New_York", "2026-10-25T00:00:00Z", 14, map[string]int{"quarters": 4, "hourly": 1, "stepped-at-one": 3}},
	} {
		t.Run(c.zone+" "+c.start, func(t *testing.T) {
			start, err := time.Parse(time.RFC3339, c.start)
			if err != nil {
				t.Fatal(err)
			}
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			entries, theirs := stockYear(t, c.zone, start, c.days)
			ours := ourYear(t, entries, start, start.AddDate(0, 0, c.days))
			missing, more := differences(theirs, ours)
			for _, r := range missing {
				t.Errorf("only stock beat sends %s at %s", r.entry, r.at.In(zone))
			}
			extra := map[string]int{}
			for _, r := range more {
				extra[r.entry]++
				if !shownBefore(r.at, zone) {
					t.Errorf("only here %s is sent at %s", r.entry, r.at.In(zone))
				}
			}
			if fmt.Sprint(extra) != fmt.Sprint(c.extra) {
				t.Errorf("in the repeated hour: %v, want %v", extra, c.extra)
			}
			t.Logf("%d ticks of stock beat, %d here", len(theirs), len(ours))
		})
	}
}

// stockYear is what Celery's own scheduler sends.
func stockYear(t *testing.T, zone string, start time.Time, days int) ([]Entry, []run) {
	t.Helper()
	python := os.Getenv("CRISPER_TEST_PYTHON")
	if python == "" {
		python = "../../.cache/celery57/bin/python"
	}
	cmd := exec.Command(python, "testdata/year.py", zone, strconv.FormatInt(start.Unix(), 10), strconv.Itoa(days))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot run stock beat: %v", err)
	}
	var year struct {
		Entries map[string]json.RawMessage `json:"entries"`
		Ticks   [][2]any                   `json:"ticks"`
	}
	if err := json.Unmarshal(out, &year); err != nil {
		t.Fatal(err)
	}
	var entries []Entry
	for name, spec := range year.Entries {
		s, err := schedule.Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, Entry{Name: name, Schedule: s})
	}
	var runs []run
	for _, tick := range year.Ticks {
		runs = append(runs, run{tick[0].(string), time.UnixMicro(int64(tick[1].(float64))).UTC()})
	}
	return entries, runs
}

// ourYear is what the planner has published, by a clock that goes from alarm to alarm.
func ourYear(t *testing.T, entries []Entry, start, end time.Time) []run {
	t.Helper()
	p, err := New(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	var runs []run
	now, alarm := start, start
	acts := p.Step(now, Loaded{Entries: entries}, nil)
	for !now.After(end) {
		var outcomes []beat.Outcome
		for _, act := range acts {
			switch act := act.(type) {
			case Publish:
				for _, tick := range act.Ticks {
					runs = append(runs, run{tick.Entry, tick.Due})
				}
				outcomes = make([]beat.Outcome, len(act.Ticks))
			case WakeAt:
				alarm = act.At
			case Skipped:
				t.Errorf("%s: %+v", now, act)
			}
		}
		if outcomes != nil {
			acts = p.Step(now, Published{Outcomes: outcomes}, acts[:0])
			continue
		}
		now = alarm
		acts = p.Step(now, Woke{}, acts[:0])
	}
	return runs
}

// differences are those of two lists, of which each is in one only.
func differences(theirs, ours []run) (onlyTheirs, onlyOurs []run) {
	seen := map[run]int{}
	for _, r := range theirs {
		seen[r]++
	}
	for _, r := range ours {
		seen[r]--
	}
	for r, n := range seen {
		for range n {
			onlyTheirs = append(onlyTheirs, r)
		}
		for range -n {
			onlyOurs = append(onlyOurs, r)
		}
	}
	byTime := func(a, b run) int { return a.at.Compare(b.at) }
	slices.SortFunc(onlyTheirs, byTime)
	slices.SortFunc(onlyOurs, byTime)
	return onlyTheirs, onlyOurs
}

// shownBefore says whether the clock had shown the same up to an hour before.
func shownBefore(t time.Time, zone *time.Location) bool {
	for _, back := range []time.Duration{30 * time.Minute, time.Hour} {
		if t.In(zone).Format("02 15:04") == t.Add(-back).In(zone).Format("02 15:04") {
			return true
		}
	}
	return false
}
