package events

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"crisper/broker/celerymsg"
)

// Received is the event that a task has arrived (celery/worker/strategy.py).
func (s *Sender) Received(now time.Time, m *celerymsg.Message) {
	s.task(now, "task-received", m.ID, func(b []byte) []byte {
		b = text(b, "name", Name(m))
		b = text(b, "args", m.ArgsRepr)
		b = text(b, "kwargs", m.KwargsRepr)
		b = textOrNull(b, "root_id", m.RootID)
		b = textOrNull(b, "parent_id", m.ParentID)
		b = append(name(b, "retries"), strconv.Itoa(m.Retries)...)
		b = textOrNull(b, "eta", isoFormat(m.ETA))
		return textOrNull(b, "expires", isoFormat(m.Expires))
	})
}

// Name is what a task is called in events and log lines: its shadow, where the
// sender gave it one (celery/worker/request.py).
func Name(m *celerymsg.Message) string {
	if m.Shadow != "" {
		return m.Shadow
	}
	return m.Task
}

// Started is the event that a child has begun a task.
func (s *Sender) Started(now time.Time, id string) {
	s.task(now, "task-started", id, nothing)
}

// Succeeded is the event that a task has returned; result is a repr.
func (s *Sender) Succeeded(now time.Time, id, result string, runtime time.Duration) {
	s.task(now, "task-succeeded", id, func(b []byte) []byte {
		b = text(b, "result", result)
		return append(name(b, "runtime"), number(runtime.Seconds())...)
	})
}

// Failed is the event that a task has raised; exception is a repr.
func (s *Sender) Failed(now time.Time, id, exception, traceback string) {
	s.task(now, "task-failed", id, why(exception, traceback))
}

// Retried is the event that a task will run again.
func (s *Sender) Retried(now time.Time, id, exception, traceback string) {
	s.task(now, "task-retried", id, why(exception, traceback))
}

// Rejected is the event that a task has raised Reject.
func (s *Sender) Rejected(now time.Time, id string, requeue bool) {
	s.task(now, "task-rejected", id, func(b []byte) []byte {
		return strconv.AppendBool(name(b, "requeue"), requeue)
	})
}

// Recorded is an event that Celery's own code made (in the steward): its type and
// other fields as they are.
func (s *Sender) Recorded(now time.Time, fields map[string]any) {
	kind, _ := fields["type"].(string)
	id, _ := fields["uuid"].(string)
	if kind == "" || id == "" {
		return
	}
	s.task(now, kind, id, func(b []byte) []byte {
		for key, value := range fields {
			if key == "type" || key == "uuid" {
				continue
			}
			if js, err := json.Marshal(value); err == nil {
				b = append(name(b, key), js...)
			}
		}
		return b
	})
}

// task adds an event of a task to the open list, if anybody wants it.
func (s *Sender) task(now time.Time, kind, id string, fields func([]byte) []byte) {
	if !s.Wants() {
		return
	}
	if s.count == 0 {
		s.opened = now
		s.open = append(s.open[:0], '[')
	} else {
		s.open = append(s.open, ',', ' ')
	}
	s.open = s.head(s.open, now)
	s.open = text(s.open, "uuid", id)
	s.open = s.tail(fields(s.open), now, kind)
	if s.count++; s.count >= s.cfg.Limit {
		s.close()
	}
}

// head begins an event with what all have in common (events/dispatcher.py).
func (s *Sender) head(b []byte, now time.Time) []byte {
	b = append(b, s.common...)
	b = append(b, `, "utcoffset": `...)
	b = append(b, utcOffset(now, s.cfg.WholeHours)...)
	b = append(b, `, "clock": `...)
	return strconv.AppendInt(b, s.clock.Forward(), 10)
}

func (s *Sender) tail(b []byte, now time.Time, kind string) []byte {
	if now.Before(s.latest) {
		now = s.latest // the system's clock was set back
	}
	s.latest = now
	b = append(b, `, "timestamp": `...)
	b = strconv.AppendFloat(b, float64(now.UnixMicro())/1e6, 'f', -1, 64)
	b = append(b, `, "type": `...)
	return append(quote(b, kind), '}')
}

// utcOffset is celery.utils.time.utcoffset: hours west of UTC, whole ones before 5.7.
func utcOffset(now time.Time, whole bool) string {
	_, east := now.Zone()
	hours := -float64(east) / 3600
	if whole {
		return strconv.Itoa(int(math.Floor(hours)))
	}
	return pythonFloat(hours+0, true) // never -0
}

func nothing(b []byte) []byte { return b }

func why(exception, traceback string) func([]byte) []byte {
	return func(b []byte) []byte {
		return text(text(b, "exception", exception), "traceback", traceback)
	}
}

func name(b []byte, key string) []byte {
	b = append(b, ',', ' ')
	return append(quote(b, key), ':', ' ')
}

func text(b []byte, key, value string) []byte { return quote(name(b, key), value) }

func textOrNull(b []byte, key, value string) []byte {
	if value == "" {
		return append(name(b, key), "null"...)
	}
	return text(b, key, value)
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// quote appends s as JSON. Nearly all texts need no escape.
func quote(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			js, _ := json.Marshal(strings.ToValidUTF8(s, "\uFFFD")) // a string always has a JSON form
			return append(b, js...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// isoFormat is datetime.isoformat of a time that was sent as text; what is no time
// is told as it is.
func isoFormat(sent string) string {
	if sent == "" {
		return ""
	}
	t, err := celerymsg.ParseTime(sent, time.UTC)
	if err != nil {
		return sent
	}
	return ISOFormat(t)
}

// ISOFormat writes a time as Python's datetime.isoformat does.
func ISOFormat(t time.Time) string {
	if t.Nanosecond()/1000 == 0 {
		return t.Format("2006-01-02T15:04:05-07:00")
	}
	return t.Format("2006-01-02T15:04:05.000000-07:00")
}
