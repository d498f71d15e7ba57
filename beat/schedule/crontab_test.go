package schedule

import (
	"strings"
	"testing"
	"time"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// at reads a wall clock and its offset.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	for _, layout := range []string{"2006-01-02 15:04 -0700", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05.999 -0700"} {
		if moment, err := time.Parse(layout, text); err == nil {
			return moment
		}
	}
	t.Fatalf("not a time: %q", text)
	return time.Time{}
}

func cron(t testing.TB, spec string, in *time.Location) *Crontab {
	t.Helper()
	f := strings.Fields(spec)
	c, err := ParseCrontab(f[0], f[1], f[2], f[3], f[4])
	if err != nil {
		t.Fatal(err)
	}
	return c.In(in)
}

func TestACrontabFiresAtTheMomentsThatTheTableTells(t *testing.T) {
	for _, c := range []struct{ why, zone, spec, last, want string }{
		{"every minute", "UTC", "* * * * *", "2026-01-01 00:00 +0000", "2026-01-01 00:01 +0000; 2026-01-01 00:02 +0000"},
		{"strictly after", "UTC", "30 4 * * *", "2026-01-01 04:30 +0000", "2026-01-02 04:30 +0000"},
		{"seconds do not matter", "UTC", "30 4 * * *", "2026-01-01 04:29:59.999 +0000", "2026-01-01 04:30 +0000"},
		{"end of the month", "UTC", "0 0 31 * *", "2026-01-31 00:00 +0000", "2026-03-31 00:00 +0000; 2026-05-31 00:00 +0000"},
		{"end of the year", "UTC", "59 23 31 12 *", "2026-12-31 23:59 +0000", "2027-12-31 23:59 +0000"},
		{"leap years", "UTC", "0 0 29 2 *", "2026-01-01 00:00 +0000", "2028-02-29 00:00 +0000; 2032-02-29 00:00 +0000"},
		{"no leap year in 2100", "UTC", "0 0 29 2 *", "2096-02-29 00:00 +0000", "2104-02-29 00:00 +0000"},
		{"the last day of a leap year", "Europe/Berlin", "0 3,20 * * *", "2096-12-31 01:30 +0100", "2096-12-31 03:00 +0100; 2096-12-31 20:00 +0100; 2097-01-01 03:00 +0100"},
		{"a leap Monday is 40 years away", "UTC", "0 0 29 2 mon", "2072-02-29 00:00 +0000", "2112-02-29 00:00 +0000"},
		{"both days have to match", "UTC", "0 0 13 * fri", "2026-01-01 00:00 +0000", "2026-02-13 00:00 +0000; 2026-03-13 00:00 +0000; 2026-11-13 00:00 +0000"},
		{"weekday names round the end", "UTC", "0 0 * * sat-mon", "2026-01-01 00:00 +0000", "2026-01-03 00:00 +0000; 2026-01-04 00:00 +0000; 2026-01-05 00:00 +0000; 2026-01-10 00:00 +0000"},

		{"a fixed time in the gap is when it would have been", "Europe/Berlin", "30 2 * * *", "2026-03-28 02:30 +0100", "2026-03-29 03:30 +0200; 2026-03-30 02:30 +0200"},
		{"two fixed times in the gap are one", "Europe/Berlin", "0,30 2 * * *", "2026-03-28 02:30 +0100", "2026-03-29 03:00 +0200; 2026-03-30 02:00 +0200"},
		{"a rhythm has no gap", "Europe/Berlin", "*/15 * * * *", "2026-03-29 01:45 +0100", "2026-03-29 03:00 +0200; 2026-03-29 03:15 +0200"},
		{"a rhythm that is all in the gap comes once", "Europe/Berlin", "*/15 2 * * *", "2026-03-28 02:45 +0100", "2026-03-29 03:00 +0200; 2026-03-30 02:00 +0200"},
		{"a fixed time that comes twice is the first", "Europe/Berlin", "30 2 * * *", "2026-10-24 02:30 +0200", "2026-10-25 02:30 +0200; 2026-10-26 02:30 +0100"},
		{"the repeated hour is not skipped by a rhythm", "Europe/Berlin", "*/15 * * * *", "2026-10-25 02:30 +0200", "2026-10-25 02:45 +0200; 2026-10-25 02:00 +0100; 2026-10-25 02:15 +0100; 2026-10-25 02:30 +0100; 2026-10-25 02:45 +0100; 2026-10-25 03:00 +0100"},
		{"hourly goes on by real time", "Europe/Berlin", "0 * * * *", "2026-10-25 01:00 +0200", "2026-10-25 02:00 +0200; 2026-10-25 02:00 +0100; 2026-10-25 03:00 +0100"},
		{"all hours listed are a rhythm too", "Europe/Berlin", "0 0-23 * * *", "2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100"},
		{"a fixed time is over in the second hour", "Europe/Berlin", "30 2 * * *", "2026-10-25 02:10 +0100", "2026-10-26 02:30 +0100"},
		{"no storm from the second hour", "Europe/Berlin", "*/15 * * * *", "2026-10-25 02:10 +0100", "2026-10-25 02:15 +0100"},
		{"after the second hour all is as ever", "Europe/Berlin", "0 3 * * *", "2026-10-25 02:10 +0100", "2026-10-25 03:00 +0100"},

		{"gap in New York", "America/New_York", "30 2 * * *", "2026-03-07 02:30 -0500", "2026-03-08 03:30 -0400"},
		{"repeated hour in New York", "America/New_York", "*/30 1 * * *", "2026-11-01 01:00 -0400", "2026-11-01 01:30 -0400; 2026-11-01 01:00 -0500; 2026-11-01 01:30 -0500; 2026-11-02 01:00 -0500"},
		{"half an hour forward in Lord Howe", "Australia/Lord_Howe", "15 2 * * *", "2026-10-03 02:15 +1030", "2026-10-04 02:45 +1100; 2026-10-05 02:15 +1100"},
		{"half an hour twice in Lord Howe", "Australia/Lord_Howe", "*/20 1 * * *", "2026-04-05 01:20 +1100", "2026-04-05 01:40 +1100; 2026-04-05 01:40 +1030; 2026-04-06 01:00 +1030"},
		{"Apia had no 30th of December 2011", "Pacific/Apia", "0 12 * * *", "2011-12-29 12:00 -1000", "2011-12-31 12:00 +1400; 2012-01-01 12:00 +1400"},
		{"midnight twice in the Azores", "Atlantic/Azores", "0 0 * * *", "2026-10-24 00:00 +0000", "2026-10-25 00:00 +0000; 2026-10-26 00:00 -0100"},
		{"no midnight in the Azores", "Atlantic/Azores", "30 0 * * *", "2026-03-28 00:30 -0100", "2026-03-29 01:30 +0000; 2026-03-30 00:30 +0000"},
		{"half hours in Kolkata", "Asia/Kolkata", "0 9 * * *", "2026-06-01 00:00 +0000", "2026-06-01 09:00 +0530; 2026-06-02 09:00 +0530"},
	} {
		t.Run(c.why, func(t *testing.T) {
			s, moment := cron(t, c.spec, zone(t, c.zone)), at(t, c.last)
			for want := range strings.SplitSeq(c.want, "; ") {
				next := s.Next(moment)
				if !next.Equal(at(t, want)) {
					t.Fatalf("%s in %s after %s: %s, want %s", c.spec, c.zone, moment.In(s.zone), next.In(s.zone), want)
				}
				moment = next
			}
		})
	}
}

func TestAnUnusableCrontabIsRefusedAsCeleryRefusesIt(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{"60 * * * *", "cannot read minute"},
		{"* 24 * * *", "cannot read hour"},
		{"* * 0 * *", "cannot read day_of_month"},
		{"* * * 13 *", "cannot read month_of_year"},
		{"* * * * 7", "7 is not from 0 to 6"},
		{"5, * * * *", "a part is empty"},
		{"-5 * * * *", "negative"},
		{"*/0 * * * *", "not a step"},
		{"*/ * * * *", "step is missing"},
		{"1-5/ * * * *", "step is missing"},
		{"*/x * * * *", "not a step"},
		{"monkey * * * x", "neither a number"},
		{"* * 31 2 *", "never occurs"},
		{"* * 31 4,6,9,11 *", "never occurs"},
		{"*5 * * * *", "neither a number"},
	} {
		f := strings.Fields(c.spec)
		_, err := ParseCrontab(f[0], f[1], f[2], f[3], f[4])
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.spec, err, c.want)
		}
	}
}

func TestFieldsAreReadAsCelerysParserReadsThem(t *testing.T) {
	for _, c := range []struct {
		field field
		text  string
		want  []int
	}{
		{days, "*/7", []int{1, 8, 15, 22, 29}},
		{weekdays, "*/2", []int{0, 2, 4, 6}},
		{weekdays, "fri-mon", []int{5, 6, 0, 1}},
		{weekdays, "Sunday,WED", []int{0, 3}},
		{hours, "22-4", []int{22, 23, 0, 1, 2, 3, 4}},
		{hours, "22-4/3", []int{22, 1, 4}},
		{months, "nov-feb", []int{11, 12, 1, 2}},
		{hours, "mon-jan", []int{1}},
		{minutes, "1-5-7", []int{1, 2, 3, 4, 5}},
		{minutes, "1-5x7", nil},
		{minutes, "1-3 of them", []int{1, 2, 3}},
		{minutes, " 5 ", []int{5}},
		{minutes, "+5", []int{5}},
		{minutes, "1_0", []int{10}},
		{minutes, "1__0", nil},
		{minutes, "_1", nil},
		{minutes, "٣-٥", []int{3, 4, 5}},
		{minutes, "*\n", minutes.span(0, 59)},
		{minutes, "*/99999999999999999999", []int{0}},
	} {
		var want set
		for _, n := range c.want {
			want |= 1 << n
		}
		got, err := c.field.parse(c.text)
		if got != want || (err != nil) != (c.want == nil) {
			t.Errorf("%s %q: %b %v, want %v", c.field.name, c.text, got, err, c.want)
		}
	}
}
