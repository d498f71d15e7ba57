package schedule

import (
	"time"
	_ "time/tzdata" // a static binary in an empty image knows the time zones too
)

// spell is a stretch of time in which a zone's clock runs without a jump. Moments
// are seconds since 1970, walls are the same plus the offset.
type spell struct {
	start, end  int64
	first, last bool // there is no start, no end
	offset      int64
}

func spellAt(t time.Time, zone *time.Location) spell {
	t = t.In(zone)
	start, end := t.ZoneBounds()
	_, offset := t.Zone()
	s := spell{
		start: start.Unix(), first: start.IsZero(),
		end: end.Unix(), last: end.IsZero(),
		offset: int64(offset),
	}
	if !s.last && s.end <= t.Unix() {
		// Go 1.26 lets a year of 366 days end on its last day, when it goes by a rule.
		const day = 24 * 60 * 60
		s.end = (divideDown(t.Unix(), day) + 1) * day
	}
	return s
}

// holds says whether the spell is not over when its clock shows wall.
func (s spell) holds(wall int64) bool { return s.last || wall-s.offset < s.end }

// longestJump is longer than what any clock was ever set back by (a day, in Manila
// and Alaska).
const longestJump = 48 * 60 * 60

// repeatedUntil is the wall clock at which the spell begins to show what the one
// before it had not shown. Long before that moment it does not matter.
func (s spell) repeatedUntil(t time.Time, zone *time.Location) int64 {
	if s.first || t.Unix()-s.start > longestJump {
		return s.start + s.offset
	}
	_, before := time.Unix(s.start-1, 0).In(zone).Zone()
	return s.start + max(s.offset, int64(before))
}

// furthestEast is more than any offset, so that what a clock shows is never earlier
// than that long before the same as UTC.
const furthestEast = 16 * 60 * 60

// firstAt is the first moment at which a zone's clock shows wall; when it jumps
// over it, the moment at which it would have, had it not jumped. from is a spell
// that ends no later than that moment.
//
// Celery: this is what Python's zoneinfo makes of a time with fold=0.
func firstAt(wall int64, from spell, zone *time.Location) time.Time {
	if early := wall - furthestEast; !from.last && from.end < early {
		from = spellAt(time.Unix(early, 0), zone)
	}
	for !from.holds(wall) {
		next := spellAt(time.Unix(from.end, 0), zone)
		if wall < from.end+next.offset {
			break // jumped over
		}
		from = next
	}
	return time.Unix(wall-from.offset, 0).UTC()
}
