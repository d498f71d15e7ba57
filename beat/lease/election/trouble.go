package election

import "time"

const (
	reportEvery  = 10 * time.Second // at first; each report doubles it
	reportSeldom = 5 * time.Minute
)

// trouble bounds what is said about calls of one kind that bring nothing: at once,
// then after ten seconds, twenty, and so on, also when it comes and goes.
type trouble struct {
	last     error     // nil when all is well
	since    time.Time // of the first of the failures in a row; zero when all is well
	refused  time.Time // of the first of the refusals in a row; zero when the last was none
	allowed  bool      // one of these calls was, once
	said     bool      // a report of these failures was made
	next     time.Time // no report before
	interval time.Duration
}

func (t *trouble) again(m *Machine, purpose Purpose, e Failed) {
	if t.since.IsZero() {
		t.since = m.now
	}
	t.last = e.Err
	switch {
	case !e.Refused:
		t.refused = time.Time{}
	case t.refused.IsZero():
		t.refused = m.now
	}
	if m.now.Before(t.next) {
		return
	}
	t.interval = min(max(reportEvery, 2*t.interval), reportSeldom)
	t.next = m.now.Add(t.interval)
	t.said = true
	m.do(Report{Purpose: purpose, Err: e.Err, Lasting: m.now.Sub(t.since)})
}

// over ends it. The next report may still have to wait: its interval begins anew
// only after a time of quiet.
func (t *trouble) over(m *Machine) {
	t.allowed = true
	if t.since.IsZero() {
		return
	}
	if t.said {
		m.do(Recovered{Lasting: m.now.Sub(t.since)})
	}
	t.last, t.since, t.refused, t.said = nil, time.Time{}, time.Time{}, false
	if m.now.After(t.next) {
		t.interval = 0
	}
}

// moot ends the trouble with writes when there is nothing to write any more, since
// another leads. A refusal stays: it says that we could not take over from him.
func (t *trouble) moot(m *Machine) {
	if allowed := t.allowed; t.refused.IsZero() {
		t.over(m)
		t.allowed = allowed
	}
}
