package message

import (
	"encoding/base64"
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Fill makes a message: the values in their gaps, and no other byte touched.
func (b *Blueprint) Fill(v Values) Message {
	m := Message{
		Exchange: b.route.Exchange, ExchangeType: b.route.ExchangeType, RoutingKey: b.route.RoutingKey,
		Priority: b.route.Priority, TaskID: v.TaskID, Declare: b.declare, Body: b.constant,
	}
	var inner []byte
	if !b.inner.none() {
		inner = b.inner.fill(v, b.route.clock, nil)
	}
	if !b.envelope.none() {
		m.Envelope = b.envelope.fill(v, b.route.clock, inner)
	}
	if !b.body.none() {
		m.Body = b.body.fill(v, b.route.clock, nil)
	}
	if !b.headers.none() {
		m.Headers = b.headers.fill(v, b.route.clock, nil)
		m.Properties = b.props.fill(v, b.route.clock, nil)
	}
	return m
}

// fill returns the text without its gaps.
func (t *template) fill(v Values, c clock, inner []byte) []byte {
	dst := make([]byte, 0, t.size(v, inner))
	for i := range t.gaps {
		g := &t.gaps[i]
		dst = append(dst, g.before...)
		switch g.kind {
		case markID:
			dst = appendText(dst, v.TaskID)
		case markTag:
			dst = appendText(dst, v.DeliveryTag)
		case markInner:
			dst = base64.StdEncoding.AppendEncode(dst, inner)
		case markMoment:
			dst = c.appendAfter(dst, v.Now, g.delay)
		}
	}
	return append(dst, t.tail...)
}

// size is about how long the filled text gets.
func (t *template) size(v Values, inner []byte) int {
	n := len(t.tail)
	for i := range t.gaps {
		n += len(t.gaps[i].before)
		switch t.gaps[i].kind {
		case markID:
			n += len(v.TaskID)
		case markTag:
			n += len(v.DeliveryTag)
		case markInner:
			n += base64.StdEncoding.EncodedLen(len(inner))
		case markMoment:
			n += len("2006-01-02T15:04:05.000000+00:00:00")
		}
	}
	return n
}

// appendText writes text into a JSON string. Ids are plain, but need not be.
func appendText(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(text) // a string cannot fail
			return append(dst, quoted[1:len(quoted)-1]...)
		}
	}
	return append(dst, text...)
}

// clock counts and writes moments as the app's Celery does.
type clock struct {
	zone *time.Location
	wall bool
}

// appendAfter writes the moment that much later than now.
func (c clock) appendAfter(dst []byte, now time.Time, delay time.Duration) []byte {
	now = now.Truncate(time.Microsecond) // of the time since year 1: what Python's clock shows
	if !c.wall {
		return appendISO(dst, now.Add(delay).In(c.zone))
	}
	_, offset := now.In(c.zone).Zone()
	shown := now.UTC().Add(time.Duration(offset)*time.Second + delay) // the wall clock, written as if it were UTC
	return appendISOAt(dst, shown, c.offsetAt(shown))
}

// offsetAt is the zone's offset when its clock shows a time for the first time;
// when it jumps over it, the offset before the jump.
//
// Celery: 5.3 to 5.6 add to a local time (app/amqp.py), and what Python makes of
// the sum has fold=0 (PEP 495).
func (c clock) offsetAt(shown time.Time) int {
	const day = 24 * time.Hour // no jump is longer, and hardly two are closer
	_, before := shown.Add(-day).In(c.zone).Zone()
	first := shown.Add(-time.Duration(before) * time.Second)
	_, then := first.In(c.zone).Zone()
	if then == before {
		return before
	}
	second := shown.Add(-time.Duration(then) * time.Second)
	if _, check := second.In(c.zone).Zone(); check == then {
		return then
	}
	return before
}

func appendISO(dst []byte, t time.Time) []byte {
	_, offset := t.Zone()
	return appendISOAt(dst, t, offset)
}

// appendISOAt is datetime.isoformat: no fraction when it is zero, seconds of the
// offset only where it has some. t shows the wall clock.
func appendISOAt(dst []byte, t time.Time, offset int) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(appendDigits(dst, year, 4), '-')
	dst = append(appendDigits(dst, int(month), 2), '-')
	dst = append(appendDigits(dst, day, 2), 'T')
	dst = append(appendDigits(dst, hour, 2), ':')
	dst = append(appendDigits(dst, minute, 2), ':')
	dst = appendDigits(dst, second, 2)
	if micro := t.Nanosecond() / 1000; micro != 0 {
		dst = appendDigits(append(dst, '.'), micro, 6)
	}
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	dst = append(appendDigits(append(dst, sign), offset/3600, 2), ':')
	dst = appendDigits(dst, offset/60%60, 2)
	if offset%60 != 0 {
		dst = appendDigits(append(dst, ':'), offset%60, 2)
	}
	return dst
}

func appendDigits(dst []byte, n, width int) []byte {
	var digits [6]byte
	for i := width - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, digits[:width]...)
}
