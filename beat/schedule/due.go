package schedule

import (
	"math/bits"
	"time"
)

// Policy says what becomes of due moments that have passed.
type Policy struct {
	// StartingDeadline is Celery's beat_cron_starting_deadline: a crontab's due
	// moments longer ago than this are dropped. Zero: none.
	StartingDeadline time.Duration
	// Window is the length of a gap that is made up tick by tick. After a longer one
	// there is one tick, with the latest due moment. Zero: always one, as in Celery.
	Window time.Duration
	// Max is the most ticks that are made up; earlier ones are dropped. Zero: no limit.
	Max int
}

// Due lists the due moments after last and not after now that are to be sent, in
// order, and counts those that are not. A gap is measured from its first due moment.
func Due(s Schedule, last, now time.Time, p Policy) (due []time.Time, skipped int) {
	first := s.Next(last)
	if first.IsZero() || first.After(now) {
		return nil, 0
	}
	if now.Sub(first) > p.Window {
		newest := latest(s, first, now)
		due, skipped = []time.Time{newest}, max(0, count(s, first, newest))
	} else {
		due, skipped = all(s, first, now, p.Max)
	}
	if _, ok := s.(*Crontab); ok && p.StartingDeadline > 0 {
		for len(due) > 0 && due[0].Before(now.Add(-p.StartingDeadline)) {
			due, skipped = due[1:], skipped+1
		}
	}
	return due, skipped
}

// all lists the due moments from first to now, but no more than the newest most.
func all(s Schedule, first, now time.Time, most int) (due []time.Time, skipped int) {
	if every, ok := s.(Interval); ok && most > 0 {
		if extra := int64(now.Sub(first)/every.every) + 1 - int64(most); extra > 0 {
			first, skipped = first.Add(time.Duration(extra)*every.every), int(extra)
		}
	}
	for t := first; !t.IsZero() && !t.After(now); t = s.Next(t) {
		due = append(due, t)
	}
	if extra := len(due) - most; most > 0 && extra > 0 {
		due, skipped = due[extra:], skipped+extra
	}
	return due, skipped
}

// latest is the last due moment from first to now, without looking at all of them.
func latest(s Schedule, first, now time.Time) time.Time {
	if every, ok := s.(Interval); ok {
		return first.Add(now.Sub(first) / every.every * every.every)
	}
	found, none := first, now // found is due; from none to now nothing is
	for none.Sub(found) > time.Hour {
		middle := found.Add(none.Sub(found) / 2)
		if t := s.Next(middle); t.IsZero() || t.After(now) {
			none = middle
		} else {
			found = t
		}
	}
	for t := s.Next(found); !t.IsZero() && !t.After(now); t = s.Next(t) {
		found = t
	}
	return found
}

// count is how many due moments there are from first until before newest.
func count(s Schedule, first, newest time.Time) int {
	switch s := s.(type) {
	case Interval:
		return int(newest.Sub(first) / s.every)
	case *Crontab:
		return s.between(first.Unix(), newest.Unix())
	case Relative:
		return int(newest.Sub(first) / s.unit / max(1, s.every/s.unit))
	}
	return 0
}

// between counts what the clock shows from one moment until before another, from
// jump to jump.
func (c *Crontab) between(from, until int64) int {
	n := 0
	for from < until {
		s, end := spellAt(time.Unix(from, 0), c.zone), until
		if !s.last {
			end = min(end, s.end)
		}
		n += c.count(divideDown(from+s.offset, 60), divideDown(end+s.offset, 60))
		from = end
	}
	return n
}

// count is how many minutes of the wall clock match from one until before another.
func (c *Crontab) count(from, until int64) int {
	firstDate, firstMinute := divide(from, day)
	lastDate, lastMinute := divide(until, day)
	n := 0
	if c.matches(lastDate) {
		n += c.before(int(lastMinute))
	}
	if c.matches(firstDate) {
		n -= c.before(int(firstMinute))
	}
	return n + c.daysBetween(firstDate, lastDate)*c.before(day)
}

func (c *Crontab) matches(d int64) bool { return c.daysBetween(d, d+1) == 1 }

// before is how many minutes of a day match before one of it.
func (c *Crontab) before(minute int) int {
	hour, rest := minute/60, minute%60
	n := (c.hour & (1<<hour - 1)).len() * c.minute.len()
	if c.hour.has(hour) {
		n += (c.minute & (1<<rest - 1)).len()
	}
	return n
}

// daysBetween is how many days match from one until before another.
func (c *Crontab) daysBetween(from, until int64) int {
	n := 0
	for from < until {
		year, month, dom := civil(from)
		next := date(year, month+1, 1)
		if c.month.has(month) {
			days := c.monthDays(year, month) &^ (1<<dom - 1)
			if next > until {
				days &= 1<<(dom+int(until-from)) - 1
			}
			n += bits.OnesCount32(days)
		}
		from = next
	}
	return n
}
