package celerymsg

import (
	"fmt"
	"time"
)

// ParseTime reads a time as Celery does: maybe_iso8601 in celery/utils/time.py
// is dateutil's isoparse. A time without an offset is in loc; Celery takes UTC
// for eta and expires (maybe_make_aware), whatever enable_utc and timezone say.
func ParseTime(s string, loc *time.Location) (time.Time, error) {
	p := isoParser{text: s}
	t, err := p.parse(loc)
	if err != nil {
		return time.Time{}, fmt.Errorf("cannot read time %q: %w", clip(s, 60), err)
	}
	return t, nil
}

// isoError is a sentence without allocation.
type isoError string

func (e isoError) Error() string { return string(e) }

type isoParser struct {
	text string
	pos  int
}

func (p *isoParser) parse(loc *time.Location) (time.Time, error) {
	year, month, day, err := p.date()
	if err != nil {
		return time.Time{}, err
	}
	if year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return time.Time{}, isoError("no such day")
	}
	var clock [4]int // hour, minute, second, microsecond
	if p.pos < len(p.text) {
		p.pos++ // any separator
		if clock, loc, err = p.clock(loc); err != nil {
			return time.Time{}, err
		}
	}
	switch {
	case clock[0] == 24 && clock[1]+clock[2]+clock[3] > 0, clock[0] > 24, clock[1] > 59, clock[2] > 59:
		return time.Time{}, isoError("no such time of day")
	}
	t := time.Date(year, time.Month(month), day, clock[0], clock[1], clock[2], clock[3]*1000, loc)
	if t.Year() > 9999 {
		return time.Time{}, isoError("no such year")
	}
	return t, nil
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// number reads up to n digits; fewer only at the end of the text.
func (p *isoParser) number(n int) (int, bool) {
	v, start := 0, p.pos
	for p.pos < len(p.text) && p.pos < start+n {
		c := p.text[p.pos]
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
		p.pos++
	}
	return v, p.pos > start
}

func (p *isoParser) left() int       { return len(p.text) - p.pos }
func (p *isoParser) at(c byte) bool  { return p.pos < len(p.text) && p.text[p.pos] == c }
func (p *isoParser) dash() (ok bool) { return p.over('-') }

func (p *isoParser) over(c byte) bool {
	if !p.at(c) {
		return false
	}
	p.pos++
	return true
}

// date reads YYYY, YYYY-MM, YYYY-MM-DD and YYYYMMDD, or what uncommonDate does.
func (p *isoParser) date() (year, month, day int, err error) {
	if p.left() < 4 {
		return 0, 0, 0, isoError("too short")
	}
	year, ok := p.number(4)
	if !ok {
		return 0, 0, 0, isoError("no year")
	}
	if p.left() == 0 {
		return year, 1, 1, nil
	}
	start := p.pos
	if month, day, ok = p.commonDate(); ok {
		return year, month, day, nil
	}
	p.pos = start
	return p.uncommonDate(year)
}

func (p *isoParser) commonDate() (month, day int, ok bool) {
	dashed := p.dash()
	if p.left() < 2 {
		return 0, 0, false
	}
	if month, ok = p.number(2); !ok {
		return 0, 0, false
	}
	if p.left() == 0 {
		return month, 1, dashed
	}
	if dashed && !p.dash() || p.left() < 2 {
		return 0, 0, false
	}
	day, ok = p.number(2)
	return month, day, ok
}

// uncommonDate reads YYYY-Www-D and YYYY-DDD, with and without dashes.
func (p *isoParser) uncommonDate(year int) (int, int, int, error) {
	if year < 1 {
		return 0, 0, 0, isoError("no such year")
	}
	dashed := p.dash()
	if p.over('W') {
		return p.weekDate(year, dashed)
	}
	if p.left() < 3 {
		return 0, 0, 0, isoError("invalid day of the year")
	}
	n, ok := p.number(3)
	last := time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC).YearDay()
	if !ok || n < 1 || n > last {
		return 0, 0, 0, isoError("invalid day of the year")
	}
	d := time.Date(year, 1, n, 0, 0, 0, 0, time.UTC)
	return d.Year(), int(d.Month()), d.Day(), nil
}

func (p *isoParser) weekDate(year int, dashed bool) (int, int, int, error) {
	week, ok := p.number(2)
	day := 1
	if ok && p.left() > 0 {
		if p.dash() != dashed {
			return 0, 0, 0, isoError("inconsistent use of dash separator")
		}
		day, ok = p.number(1)
	}
	if !ok || week < 1 || week > 53 || day < 1 || day > 7 {
		return 0, 0, 0, isoError("invalid week")
	}
	fourth := time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC) // always in week 1
	monday := (int(fourth.Weekday()) + 6) % 7
	d := fourth.AddDate(0, 0, -monday+(week-1)*7+day-1)
	return d.Year(), int(d.Month()), d.Day(), nil
}

// clock reads hh, hh:mm, hh:mm:ss and a fraction, with and without colons, and
// the offset.
func (p *isoParser) clock(loc *time.Location) (c [4]int, _ *time.Location, err error) {
	if p.left() < 2 {
		return c, nil, isoError("time too short")
	}
	colons, ok := false, true
	for i := 0; i < 3 && p.left() > 0 && !p.atOffset(); i++ {
		switch {
		case i == 1:
			colons = p.over(':')
		case i == 2 && colons && !p.over(':'):
			return c, nil, isoError("inconsistent use of colon separator")
		}
		if c[i], ok = p.number(2); !ok {
			return c, nil, isoError("invalid time of day")
		}
		if i == 2 && (p.at('.') || p.at(',')) {
			if c[3], ok = p.fraction(); !ok {
				return c, nil, isoError("invalid fraction of a second")
			}
		}
	}
	if p.left() == 0 {
		return c, loc, nil
	}
	loc, err = p.offset()
	return c, loc, err
}

func (p *isoParser) atOffset() bool { return p.at('Z') || p.at('z') || p.at('+') || p.at('-') }

// fraction reads to the microsecond and leaves out what is finer.
func (p *isoParser) fraction() (micros int, ok bool) {
	p.pos++
	start := p.pos
	for p.pos < len(p.text) && '0' <= p.text[p.pos] && p.text[p.pos] <= '9' {
		if p.pos < start+6 {
			micros = micros*10 + int(p.text[p.pos]-'0')
		}
		p.pos++
	}
	for i := p.pos - start; i < 6; i++ {
		micros *= 10
	}
	return micros, p.pos > start
}

// offset reads Z, ±HH, ±HHMM or ±HH:MM, and there must be nothing after it.
func (p *isoParser) offset() (*time.Location, error) {
	rest := p.left()
	if p.over('Z') || p.over('z') {
		if rest == 1 {
			return time.UTC, nil
		}
		return nil, isoError("something follows the Z")
	}
	minus := p.at('-')
	if !p.over('-') && !p.over('+') || rest != 3 && rest != 5 && rest != 6 {
		return nil, isoError("invalid time zone offset")
	}
	hours, ok := p.number(2)
	minutes := 0
	if ok && p.left() > 0 {
		p.over(':')
		minutes, ok = p.number(2)
	}
	if !ok || p.left() > 0 || hours > 23 || minutes > 59 {
		return nil, isoError("invalid time zone offset")
	}
	if hours == 0 && minutes == 0 {
		return time.UTC, nil
	}
	if minus {
		hours, minutes = -hours, -minutes
	}
	return time.FixedZone("", (hours*60+minutes)*60), nil
}
