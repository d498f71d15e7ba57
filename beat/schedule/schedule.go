package schedule

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// Schedule says when an entry is due.
type Schedule interface {
	// Next is the first due moment strictly after last, in UTC; zero: never.
	Next(last time.Time) time.Time
	// String tells the schedule to people. Schedules of the same text are the same.
	String() string
}

// Interval is due every so often, by elapsed time: each due moment is one interval
// after the one before, however late that was sent.
//
// Celery: schedules.py counts from the moment of sending instead, so its interval
// drifts by the time that each turn of the loop takes.
type Interval struct{ every time.Duration }

// Every returns the schedule of an interval; it is refused unless positive.
func Every(d time.Duration) (Interval, error) {
	if d <= 0 {
		return Interval{}, fmt.Errorf("cannot use an interval of %s: the entry would be due without a pause", d)
	}
	return Interval{every: d}, nil
}

// Next is last plus the interval.
func (i Interval) Next(last time.Time) time.Time {
	if i.every == forever {
		return time.Time{}
	}
	return last.UTC().Add(i.every)
}

func (i Interval) String() string { return "every " + i.every.String() }

// forever stands for an interval that time.Duration cannot hold: 292 years.
const forever = time.Duration(math.MaxInt64)

// Asked is a schedule that only the app's Python knows: a solar event, a custom
// class, a schedule with a nowfun. Its Next is never: the planner asks for it.
type Asked struct {
	Kind string          // "solar", "opaque"
	Spec json.RawMessage // as Python printed it
}

// Next is never: whoever meets an Asked asks Python.
func (Asked) Next(time.Time) time.Time { return time.Time{} }

func (a Asked) String() string { return a.Kind + " " + string(a.Spec) }
