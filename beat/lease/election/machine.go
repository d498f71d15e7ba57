package election

import "time"

// State is what a candidate is doing.
type State uint8

// States of a candidate.
const (
	Following State = iota // looking at the record, ready to claim it
	Leading                // the term's context is open
	Ending                 // the context is closed, the work has not returned yet
	Releasing              // the work has returned, the record may still name us
	Finished
)

func (s State) String() string {
	return [...]string{"following", "leading", "ending", "releasing", "finished"}[s]
}

// Machine decides for one candidate. It is a plain value: one goroutine steps it.
type Machine struct {
	cfg   Config
	state State
	now   time.Time // of this step
	out   []Action

	// What is known of the record.
	record    Record    // as last seen or written
	unsure    bool      // it must be looked at before anything is based on it
	heldUntil time.Time // another may be leading until then, by our own clock
	highest   uint64    // token ever seen
	floor     uint64    // the next token is at least this

	// The one call that may be under way, and when the next is due.
	call    Purpose
	started time.Time
	due     time.Time
	fails   int // in a row

	// The term: these hold while Leading, Ending and Releasing.
	token    uint64
	began    time.Time
	deadline time.Time // its context ends
	expiry   time.Time // others may begin

	short    int // terms in a row whose work gave up early
	stopping bool
	looks    trouble
	writes   trouble
}

// New makes a candidate that has not begun.
func New(cfg Config) *Machine { return &Machine{cfg: cfg, unsure: true} }

// State is what the candidate is doing.
func (m *Machine) State() State { return m.state }

// Record is what the candidate knows of the Lease.
func (m *Machine) Record() Record { return m.record }

// Trouble is why the backend does not do what it is asked, nil when it does.
func (m *Machine) Trouble() error {
	if m.writes.last != nil {
		return m.writes.last
	}
	return m.looks.last
}

// Raise makes the next token at least this.
func (m *Machine) Raise(least uint64) { m.floor = max(m.floor, least) }

// Step takes what happened and tells what to do. The end of a term goes before
// everything else: a renewal that is answered after its deadline comes too late.
func (m *Machine) Step(now time.Time, event Event) []Action {
	m.now, m.out = now, nil
	if m.state == Leading && !now.Before(m.deadline) {
		m.endTerm(Overdue)
	}
	switch e := event.(type) {
	case Answered:
		m.onAnswered(e.Record)
	case Wrote:
		m.onWrote(e.Record)
	case Conflicted:
		m.onConflicted()
	case Failed:
		m.onFailed(e)
	case LeadReturned:
		m.onLeadReturned()
	case StopReceived:
		m.onStop()
	case Started, Woke:
	}
	m.proceed()
	return m.out
}

// NextWake is when to step next if nothing happens before; zero is never.
func (m *Machine) NextWake() time.Time {
	switch {
	case m.state == Leading && (m.call != None || m.deadline.Before(m.due)):
		return m.deadline
	case m.state == Leading || m.state == Following && m.call == None:
		return m.due
	case m.state == Releasing && m.call == None:
		return earlier(m.due, m.expiry)
	}
	return time.Time{} // a call under way and work that is ending report themselves
}

// proceed makes the next call when it is due.
func (m *Machine) proceed() {
	if m.call != None {
		return
	}
	switch m.state {
	case Following:
		m.follow()
	case Leading:
		if !m.now.Before(m.due) {
			m.renew()
		}
	case Releasing:
		m.release()
	case Ending, Finished:
	}
}

func (m *Machine) follow() {
	switch {
	case m.stopping:
		m.finish(nil)
	case m.now.Before(m.due):
	case m.free() && !m.unsure:
		m.claim()
	default:
		m.ask(Call{Purpose: Look})
	}
}

// free tells that nobody can be leading by the record that we know. A record that
// names us is a claim of ours whose answer came too late: with no term here, it is
// nobody's.
func (m *Machine) free() bool {
	if m.record.Holder == m.cfg.Holder {
		return true
	}
	return !m.now.Before(m.heldUntil)
}

func (m *Machine) claim() {
	next := Record{
		Holder:   m.cfg.Holder,
		Token:    max(m.highest+1, m.floor),
		Duration: m.cfg.LeaseDuration,
	}
	m.ask(Call{Purpose: Claim, Prev: m.record, Next: next})
}

func (m *Machine) renew() {
	if m.unsure {
		m.ask(Call{Purpose: Look})
		return
	}
	next := Record{Holder: m.cfg.Holder, Token: m.token, Duration: m.cfg.LeaseDuration}
	m.ask(Call{Purpose: Renew, Prev: m.record, Next: next})
}

// release gives the record back, as long as nobody else can have taken it.
func (m *Machine) release() {
	switch {
	case !m.now.Before(m.expiry):
		m.become(Following)
		m.follow()
	case m.now.Before(m.due):
	case m.unsure:
		m.ask(Call{Purpose: Look})
	default:
		m.ask(Call{Purpose: Release, Prev: m.record, Next: Record{Token: m.token}})
	}
}

// ask starts a call. None may outlive the term that it is to extend.
func (m *Machine) ask(c Call) {
	m.call, m.started = c.Purpose, m.now
	c.Timeout = m.cfg.attempt()
	if m.state == Leading {
		c.Timeout = min(c.Timeout, m.deadline.Sub(m.now))
	}
	m.do(c)
}

func (m *Machine) finish(err error) {
	m.become(Finished)
	m.do(Finish{Err: err})
}

func (m *Machine) become(s State) { m.state = s }

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
