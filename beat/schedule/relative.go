package schedule

import (
	"fmt"
	"time"
)

// Relative is an interval that ends on a round wall-clock time: days at midnight,
// hours at the full hour, minutes at the full minute, less at the full second.
//
// Celery: utils/time.py remaining() of 5.7, which chooses between the two times of
// a repeated hour by elapsed time. Older ones err at clock changes; not copied.
type Relative struct {
	every time.Duration
	unit  time.Duration // what is rounded down to
	zone  *time.Location
}

// RelativeTo returns the schedule of a relative interval. Less than a second cannot
// be rounded; it is the plain interval.
func RelativeTo(d time.Duration, zone *time.Location) (Schedule, error) {
	plain, err := Every(d)
	if err != nil || d < time.Second || d == forever {
		return plain, err
	}
	unit := time.Second
	for _, larger := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
		if d >= larger {
			unit = larger
		}
	}
	return Relative{every: d, unit: unit, zone: zone}, nil
}

func (r Relative) String() string {
	return fmt.Sprintf("every %s, on the full %s in %s", r.every, unitName[r.unit], r.zone)
}

var unitName = map[time.Duration]string{time.Second: "second", time.Minute: "minute", time.Hour: "hour", 24 * time.Hour: "day"}

// Next is the round time that belongs to last plus the interval.
func (r Relative) Next(last time.Time) time.Time {
	next := r.days(last)
	if r.unit < 24*time.Hour {
		next = r.elapsed(last)
	}
	if !next.After(last) {
		return last.UTC().Add(r.every) // the fraction of a second that rounding took away
	}
	return next
}

// days counts calendar days: the first midnight of that day that is after last.
func (r Relative) days(last time.Time) time.Time {
	begin := wallOf(last, r.zone)
	end := begin.Add(r.every)
	if next, ok := earliest(after(r.round(end), last)); ok {
		return next
	}
	return atFold(end, 0, r.zone)
}

// elapsed is the last round time that is not after last plus the interval. When a
// clock that was set back leaves none after last, the next round time and the
// one by the wall clock are looked at too.
func (r Relative) elapsed(last time.Time) time.Time {
	limit := last.Add(r.every)
	end := wallOf(limit, r.zone)
	rounded := r.round(end)
	next, ok := latestOf(notAfter(rounded, limit))
	if !ok {
		next, _ = earliest(rounded)
	}
	if r.unit < time.Minute || next.After(last) {
		return next
	}
	more := append(rounded, r.round(end.Add(r.unit))...)
	more = after(append(more, r.round(wallOf(last, r.zone).Add(r.every))...), last)
	if next, ok := latestOf(notAfter(more, limit)); ok {
		return next
	}
	if next, ok := earliest(more); ok {
		return next
	}
	return limit.UTC()
}

// round gives both moments at which the clock shows the round time before wall; a
// clock that jumps over it shows a later one instead.
func (r Relative) round(wall time.Time) []time.Time {
	wall = wall.Truncate(r.unit)
	if wallOf(atFold(wall, 0, r.zone), r.zone) != wall && wallOf(atFold(wall, 1, r.zone), r.zone) != wall {
		wall = wall.Add(jumpAround(wall, r.zone))
	}
	return []time.Time{atFold(wall, 0, r.zone), atFold(wall, 1, r.zone)}
}

// jumpAround is by how much the clock's offset grows from the day before to the
// day after, which is how dateutil's resolve_imaginary leaves a gap.
func jumpAround(wall time.Time, zone *time.Location) time.Duration {
	offset := func(wall time.Time) time.Duration { return wall.Sub(atFold(wall, 0, zone)) }
	return max(0, offset(wall.Add(24*time.Hour))-offset(wall.Add(-24*time.Hour)))
}

// wallOf is what a zone's clock shows, as a time of UTC.
func wallOf(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// atFold is the moment at which a zone's clock shows wall for the first time (0)
// or the second (1); in a gap, by the offset before (0) or after (1) it.
func atFold(wall time.Time, fold int, zone *time.Location) time.Time {
	seconds, rest := wall.Unix(), time.Duration(wall.Nanosecond())
	first := firstAt(seconds, spellAt(time.Unix(seconds-furthestEast, 0), zone), zone)
	if fold == 0 {
		return first.Add(rest)
	}
	before := seconds - first.Unix() // the offset that first was found by
	now := spellAt(time.Unix(seconds-before, 0), zone)
	if now.offset != before { // a gap: the moment lies beyond it
		return time.Unix(seconds-now.offset, 0).UTC().Add(rest)
	}
	if now.last {
		return first.Add(rest)
	}
	then := spellAt(time.Unix(now.end, 0), zone)
	if again := seconds - then.offset; again >= now.end {
		return time.Unix(again, 0).UTC().Add(rest)
	}
	return first.Add(rest)
}

func after(times []time.Time, t time.Time) []time.Time {
	var kept []time.Time
	for _, each := range times {
		if each.After(t) {
			kept = append(kept, each)
		}
	}
	return kept
}

func notAfter(times []time.Time, t time.Time) []time.Time {
	var kept []time.Time
	for _, each := range times {
		if !each.After(t) {
			kept = append(kept, each)
		}
	}
	return kept
}

func earliest(times []time.Time) (time.Time, bool) {
	var found time.Time
	for _, each := range times {
		if found.IsZero() || each.Before(found) {
			found = each
		}
	}
	return found, !found.IsZero()
}

func latestOf(times []time.Time) (time.Time, bool) {
	var found time.Time
	for _, each := range times {
		if found.IsZero() || each.After(found) {
			found = each
		}
	}
	return found, !found.IsZero()
}
