package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// Crontab is due at the minutes whose five fields all match, on the wall clock of
// its time zone. Day of month and day of week are both asked, unlike in cron.
type Crontab struct {
	minute, hour, month set
	days                [7]uint32 // by the weekday of a month's first: its days that match
	byRealTime          bool      // doc.go: what happens in an hour that comes twice
	zone                *time.Location
	text                string
}

// ParseCrontab reads five fields as Celery 5.7 does. The schedule is one of UTC;
// In gives it another time zone.
func ParseCrontab(minute, hour, dom, month, dow string) (*Crontab, error) {
	texts := [5]string{minute, hour, dom, month, dow}
	var sets [5]set
	var errs [5]error
	for i, f := range fields {
		sets[i], errs[i] = f.parse(texts[i])
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return newCrontab(sets, texts, time.UTC)
}

// fields in the order in which they are written.
var fields = [5]field{minutes, hours, days, months, weekdays}

func newCrontab(sets [5]set, texts [5]string, zone *time.Location) (*Crontab, error) {
	for i, f := range fields {
		if sets[i] == 0 {
			return nil, fmt.Errorf("cannot use %s %q: no value matches", f.name, texts[i])
		}
	}
	c := &Crontab{minute: sets[0], hour: sets[1], month: sets[3], zone: zone, text: strings.Join(texts[:], " ")}
	c.byRealTime = wild(minutes, sets[0], texts[0]) || wild(hours, sets[1], texts[1])
	if !exists(sets[2], sets[3]) {
		return nil, fmt.Errorf("cannot use day_of_month %q: it never occurs in month_of_year %q", texts[2], texts[3])
	}
	for first := range c.days {
		for day := 1; day <= 31; day++ {
			if sets[2].has(day) && sets[4].has((first+day-1)%7) {
				c.days[first] |= 1 << day
			}
		}
	}
	return c, nil
}

// wild says whether a field is not a choice of moments but a rhythm.
func wild(f field, s set, text string) bool {
	return s == f.all() || strings.ContainsAny(text, "*/")
}

// exists refuses dates like the 31st of February, as Celery does since 5.7.
func exists(days, months set) bool {
	for m := 1; m <= 12; m++ {
		longest := time.Date(2024, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day() // 2024 is a leap year
		if months.has(m) && days.first() <= longest {
			return true
		}
	}
	return false
}

// In is the same crontab on the wall clock of a time zone.
func (c *Crontab) In(zone *time.Location) *Crontab {
	moved := *c
	moved.zone = zone
	return &moved
}

// String is the five fields in cron's order and the time zone.
func (c *Crontab) String() string { return "crontab " + c.text + " in " + c.zone.String() }

// Next is the first due moment after last.
func (c *Crontab) Next(last time.Time) time.Time {
	now := spellAt(last, c.zone)
	wall := last.Unix() + now.offset
	if !c.byRealTime {
		wall = max(wall, now.repeatedUntil(last, c.zone)-1)
	}
	next, ok := c.after(wall)
	if !ok {
		return time.Time{}
	}
	if now.holds(next) {
		return time.Unix(next-now.offset, 0).UTC()
	}
	if t, ok := c.again(now, wall); ok {
		return t
	}
	return firstAt(next, now, c.zone)
}

// again is the first match of a period that the clock shows twice, seen from its
// first time: there is none left in it, but it comes again.
func (c *Crontab) again(now spell, wall int64) (time.Time, bool) {
	if !c.byRealTime || now.last {
		return time.Time{}, false
	}
	then := spellAt(time.Unix(now.end, 0), c.zone)
	begin := now.end + then.offset
	if begin > wall {
		return time.Time{}, false // all of it is still to come: its first time is found first
	}
	next, ok := c.after(begin - 1)
	if !ok || next >= now.end+now.offset || !then.holds(next) {
		return time.Time{}, false
	}
	return time.Unix(next-then.offset, 0).UTC(), true
}

const day = 24 * 60 // minutes

// after is the first matching minute that begins after wall. Both are seconds on
// the wall clock, counted as if it were UTC.
func (c *Crontab) after(wall int64) (int64, bool) {
	date, minute := divide(divideDown(wall, 60)+1, day)
	year, month, dom := civil(date)
	if c.month.has(month) && c.monthDays(year, month)>>dom&1 == 1 {
		if m, ok := c.inDay(int(minute)); ok {
			return (date*day + int64(m)) * 60, true
		}
	}
	date, ok := c.dayAfter(year, month, dom)
	return (date*day + int64(c.hour.first()*60+c.minute.first())) * 60, ok
}

// inDay is the first matching minute of a day from one on.
func (c *Crontab) inDay(from int) (int, bool) {
	hour, minute := from/60, from%60
	if rest := c.minute >> minute; c.hour.has(hour) && rest != 0 {
		return from + rest.first(), true
	}
	rest := c.hour >> (hour + 1)
	return (hour+1+rest.first())*60 + c.minute.first(), rest != 0
}

// dayAfter goes from month to month. No date and weekday are further apart than
// 40 years (the 29th of February on one weekday, around 2100).
func (c *Crontab) dayAfter(year, month, dom int) (int64, bool) {
	days := uint32(0)
	if c.month.has(month) {
		days = c.monthDays(year, month) &^ (1<<(dom+1) - 1)
	}
	for range 12 * 48 {
		if days != 0 {
			return date(year, month, bits.TrailingZeros32(days)), true
		}
		if month++; month > 12 {
			year, month = year+1, 1
		}
		if c.month.has(month) {
			days = c.monthDays(year, month)
		}
	}
	return 0, false
}

// monthDays are the days of a month that match, one bit each.
func (c *Crontab) monthDays(year, month int) uint32 {
	first := date(year, month, 1)
	length := date(year, month+1, 1) - first
	_, weekday := divide(first+4, 7) // the first of January 1970 was a Thursday
	return c.days[weekday] & (1<<(length+1) - 1)
}

// date counts days since 1970.
func date(year, month, day int) int64 {
	return divideDown(time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix(), 24*60*60)
}

func civil(date int64) (year, month, day int) {
	y, m, d := time.Unix(date*24*60*60, 0).UTC().Date()
	return y, int(m), d
}

func divideDown(a, b int64) int64 {
	quotient, _ := divide(a, b)
	return quotient
}

// divide is division with a remainder that is never negative.
func divide(a, b int64) (quotient, rest int64) {
	quotient, rest = a/b, a%b
	if rest < 0 {
		quotient, rest = quotient-1, rest+b
	}
	return quotient, rest
}
