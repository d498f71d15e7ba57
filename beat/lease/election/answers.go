package election

import (
	"fmt"
	"time"
)

func (m *Machine) onAnswered(rec Record) {
	m.call = None
	m.looks.over(m)
	m.observe(rec)
	m.due = m.now
	ours := rec.Holder == m.cfg.Holder && rec.Token == m.token
	switch m.state {
	case Leading:
		if !ours {
			m.endTerm(Lost)
		}
	case Releasing:
		if !ours {
			m.expiry = m.now // there is nothing to give back
		}
	case Following:
		if !m.free() {
			m.fails = 0
			m.writes.moot(m)
			m.due = earlier(m.started.Add(m.pause(1)), m.heldUntil)
		}
	case Ending, Finished:
	}
}

// observe takes in the record as it was read. When another holds it, he is left
// alone for his whole duration from now, which is later than his renewal was: the
// clocks of the two machines are not compared. A record that is gone may have been
// deleted under a leader who has not noticed yet.
func (m *Machine) observe(rec Record) {
	changed := rec.Version != m.record.Version
	switch {
	case rec.absent():
	case !rec.Held() || rec.Holder == m.cfg.Holder:
		m.heldUntil = time.Time{}
	case changed:
		m.heldUntil = m.now.Add(m.patienceWith(rec))
	}
	m.know(rec)
}

// patienceWith is the holder's own duration; that of a foreign record may be missing.
func (m *Machine) patienceWith(rec Record) time.Duration {
	if rec.Duration > 0 {
		return rec.Duration
	}
	return m.cfg.LeaseDuration
}

func (m *Machine) know(rec Record) {
	m.record, m.unsure = rec, false
	m.highest = max(m.highest, rec.Token)
}

func (m *Machine) onWrote(rec Record) {
	purpose := m.call
	m.call, m.fails = None, 0
	m.writes.over(m)
	m.know(rec)
	switch purpose {
	case Claim:
		m.onClaimed(rec)
	case Renew:
		m.onRenewed()
	case Release:
		m.become(Following)
		m.due = m.now.Add(m.rest())
	case Look, None:
	}
}

// onClaimed begins a term, unless its time has passed already (then the record
// names us and is claimed anew) or this process is to end.
func (m *Machine) onClaimed(rec Record) {
	m.token, m.began, m.due = rec.Token, m.now, m.now
	m.heldUntil = time.Time{}
	m.anchor()
	switch {
	case m.stopping:
		m.become(Releasing)
	case m.now.Before(m.deadline):
		m.become(Leading)
		m.due = m.started.Add(m.cfg.renewPeriod())
		m.do(BeginTerm{Token: m.token, Deadline: m.deadline, Expiry: m.expiry})
	}
}

func (m *Machine) onRenewed() {
	m.anchor()
	if m.state == Leading {
		m.due = m.started.Add(m.cfg.renewPeriod())
		m.do(ExtendTerm{Deadline: m.deadline, Expiry: m.expiry})
	}
}

// anchor measures from the start of the attempt: nobody can have seen its effect
// earlier, so everybody else's patience ends later than our expiry.
func (m *Machine) anchor() {
	m.deadline = m.started.Add(m.cfg.RenewDeadline)
	m.expiry = m.started.Add(m.cfg.LeaseDuration)
}

// onConflicted looks at once, and slower when that does not help: a cache that
// lags shows the old record again.
func (m *Machine) onConflicted() {
	m.call, m.unsure = None, true
	m.fails++
	m.due = m.now
	if m.fails > 1 {
		m.due = m.now.Add(m.pause(1))
	}
}

func (m *Machine) onFailed(e Failed) {
	purpose := m.call
	m.call = None
	if m.stopping && m.state == Following && purpose == Look {
		return // we have cancelled it ourselves
	}
	m.fails++
	m.due = m.now.Add(m.pause(min(m.fails, 2)))
	if m.state != Following {
		// Time is short: a call that has waited its whole time is repeated at once.
		m.due = later(m.now, m.started.Add(m.pause(1)))
	}
	m.unsure = m.unsure || purpose == Claim // it may have been carried out
	t := &m.looks
	if purpose != Look {
		t = &m.writes
	} else {
		m.writes.refused = time.Time{} // said by a server that cannot be asked now, or knows no roles
	}
	t.again(m, purpose, e)
	m.giveUp(t, e)
}

// giveUp ends a follower whose calls will not succeed. A leader goes on to the end
// of its term first.
func (m *Machine) giveUp(t *trouble, e Failed) {
	if m.state != Following || m.stopping {
		return
	}
	lasting := m.now.Sub(t.since)
	switch {
	case e.Refused && m.now.Sub(t.refused) >= m.cfg.patience(t.allowed):
		m.finish(fmt.Errorf("cannot campaign: %w", e.Err))
	case m.cfg.GiveUpAfter > 0 && lasting >= m.cfg.GiveUpAfter:
		m.finish(&GaveUp{After: lasting, Err: e.Err})
	}
}

func (m *Machine) onLeadReturned() {
	finished := m.state == Leading
	if finished {
		m.endTerm(LeadFinished)
	}
	if m.state != Ending {
		return
	}
	if finished && m.now.Sub(m.began) < m.cfg.LeaseDuration {
		m.short++
	} else {
		m.short = 0
	}
	m.become(Releasing)
	m.due = m.now
}

func (m *Machine) onStop() {
	m.stopping = true
	switch {
	case m.state == Leading:
		m.endTerm(Stopped)
	case m.state == Following && m.call == Look:
		m.do(CancelCall{})
	}
}

func (m *Machine) endTerm(why Reason) {
	m.become(Ending)
	m.do(EndTerm{Reason: why})
	if why == Lost {
		m.expiry = m.now
	}
}

// pause is n retry periods, shortened by chance so that followers do not march in step.
func (m *Machine) pause(n int) time.Duration {
	period := time.Duration(n) * m.cfg.RetryPeriod
	return period - time.Duration(m.cfg.Jitter()*float64(period)/5)
}

// rest is how long a candidate that has given the Lease back leaves it to others:
// longer when its work keeps giving up, so that it does not spin.
func (m *Machine) rest() time.Duration {
	return min(m.cfg.LeaseDuration, m.pause(max(2, 1<<min(m.short, 10))))
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
