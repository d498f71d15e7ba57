package command

import (
	"fmt"
	"syscall"
	"time"
)

// Machine is the state of one command; doc.go says what it decides.
type Machine struct {
	cfg   Config
	state State
	pid   int

	pending []syscall.Signal // came before there was a process
	told    bool             // to leave, by whatever signal
	asked   bool             // to leave by TERM or drain
	termed  bool             // by TERM
	hurried bool
	ready   bool // Ready was reached once

	stopAt   time.Time // end of the pre-stop delay; zero: none runs
	killAt   time.Time // SIGKILL for all; zero: not
	lookAt   time.Time // next sweep; zero: none, or one is under way
	giveUpAt time.Time // leave although something lives
	killed   bool      // SIGKILL was sent to all
	why      string    // why we ended it; "": we did not

	exit Exited
	left string // names of strays

	guard guard
	// impossible counts events that could not be true in the state they met.
	impossible int
}

// New returns a machine that waits for Opened.
func New(cfg Config) (*Machine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Machine{cfg: cfg}, nil
}

// Step takes one event in and appends what is to be done to acts.
func (m *Machine) Step(now time.Time, ev Event, acts []Action) []Action {
	if m.state == Over {
		return acts
	}
	switch ev := ev.(type) {
	case Opened:
		return m.onOpened(acts)
	case Started:
		return m.onStarted(now, ev, acts)
	case StartFailed:
		return m.onStartFailed(ev, acts)
	case Signalled:
		return m.onSignalled(now, ev.Signal, acts)
	case DrainRequested:
		return m.onDrainRequested(now, acts)
	case Deaf:
		return m.onDeaf(now, acts)
	case Exited:
		return m.onExited(now, ev, acts)
	case Swept:
		return m.onSwept(now, ev, acts)
	case Measured:
		return m.onMeasured(now, ev, acts)
	}
	m.impossible++
	return acts
}

// Tick acts upon the deadlines that have passed. Calling it early or late is
// harmless.
func (m *Machine) Tick(now time.Time, acts []Action) []Action {
	if passed(now, m.stopAt) {
		acts = m.stop(acts)
	}
	if passed(now, m.killAt) {
		acts = m.cutOff(now, acts)
	}
	if passed(now, m.giveUpAt) {
		return m.giveUp(acts)
	}
	if passed(now, m.lookAt) {
		acts = m.look(acts)
	}
	return acts
}

// NextWake is when Tick wants to be called; zero: not before another event.
func (m *Machine) NextWake() time.Time {
	at := earlier(m.stopAt, m.killAt)
	return earlier(earlier(at, m.lookAt), m.giveUpAt)
}

// State is where the command is.
func (m *Machine) State() State { return m.state }

// PID of the command; 0 before it runs.
func (m *Machine) PID() int { return m.pid }

// Started says whether the command ever ran.
func (m *Machine) Started() bool { return m.ready }

// Impossible is how many events could not be true in the state they met.
func (m *Machine) Impossible() int { return m.impossible }

func (m *Machine) move(to State, reason Reason, detail string, acts []Action) []Action {
	from := m.state
	m.state = to
	return append(acts, Transition{From: from, To: to, Reason: reason, Detail: detail})
}

func (m *Machine) onOpened(acts []Action) []Action {
	if m.state != Waiting {
		m.impossible++
		return acts
	}
	return append(m.move(Starting, ReasonStart, "", acts), Start{})
}

func (m *Machine) onStarted(now time.Time, ev Started, acts []Action) []Action {
	if m.state != Starting {
		m.impossible++
		return acts
	}
	m.pid, m.ready = ev.PID, true
	acts = m.move(Ready, ReasonStart, fmt.Sprintf("pid %d", ev.PID), acts)
	pending := m.pending
	m.pending = nil
	for _, sig := range pending {
		acts = m.onSignalled(now, sig, acts)
	}
	return acts
}

func (m *Machine) onStartFailed(ev StartFailed, acts []Action) []Action {
	if m.state != Starting {
		m.impossible++
		return acts
	}
	acts = m.move(Over, ReasonStartFailed, ev.Reason, acts)
	return append(acts, Leave{Code: ev.Code, Why: ev.Reason})
}

// onExited keeps the status and looks after what the command left behind.
func (m *Machine) onExited(now time.Time, ev Exited, acts []Action) []Action {
	if m.state != Ready && m.state != Draining && m.state != Killing {
		m.impossible++
		return acts
	}
	m.exit, m.stopAt = ev, time.Time{}
	reason := ReasonExited
	if ev.Signal != 0 && m.state != Killing && !m.expected(ev.Signal) {
		reason = ReasonCrashed
	}
	acts = m.move(Sweeping, reason, ev.Text, acts)
	m.lookAt = time.Time{}
	if m.killed {
		return append(acts, Sweep{syscall.SIGKILL})
	}
	m.killAt = earlier(m.killAt, now.Add(m.cfg.KillGrace))
	return append(acts, Sweep{syscall.SIGTERM})
}

func (m *Machine) onSwept(now time.Time, ev Swept, acts []Action) []Action {
	switch m.state {
	case Killing, Sweeping:
	default:
		m.impossible++
		return acts
	}
	if m.state == Sweeping && ev.Alive == 0 {
		return m.leave(acts)
	}
	m.left = ev.Names
	m.lookAt = now.Add(m.cfg.SweepEvery)
	return acts
}

// look has the descendants counted again; those that were forked while we killed
// get their SIGKILL, too.
func (m *Machine) look(acts []Action) []Action {
	m.lookAt = time.Time{}
	if m.killed {
		return append(acts, Sweep{syscall.SIGKILL})
	}
	return append(acts, Sweep{})
}

func (m *Machine) giveUp(acts []Action) []Action {
	acts = append(acts, Warn{"what does not die of SIGKILL is left behind", m.left})
	if m.state == Killing { // the command itself is among them
		m.exit = Exited{Code: -1, Signal: syscall.SIGKILL, Text: "nothing, not even SIGKILL"}
	}
	return m.leave(acts)
}

// leave is the end. The reason is told only when the status alone does not.
func (m *Machine) leave(acts []Action) []Action {
	code := m.exit.Code
	if m.exit.Signal != 0 {
		code = exitBySignal(m.exit.Signal)
	}
	why := ""
	switch {
	case m.why != "":
		why = fmt.Sprintf("%s %s; it ended with %s", m.cfg.Name, m.why, m.exit.Text)
	case m.exit.Signal != 0 && !m.expected(m.exit.Signal):
		why = fmt.Sprintf("%s ended with %s", m.cfg.Name, m.exit.Text)
	}
	if m.guard.ended && code == 0 {
		code = exitBySignal(syscall.SIGKILL)
	}
	*m = Machine{cfg: m.cfg, state: m.state, pid: m.pid, ready: m.ready, impossible: m.impossible}
	acts = m.move(Over, ReasonExited, "", acts)
	return append(acts, Leave{Code: code, Why: why})
}

// expected says that the command died of the signal that we were told to pass on.
func (m *Machine) expected(sig syscall.Signal) bool {
	return m.told && (ends(sig) || sig == m.cfg.StopSignal)
}

// exitBySignal is what a shell shows.
func exitBySignal(sig syscall.Signal) int { return 128 + int(sig) }

// passed says whether a deadline is set and reached.
func passed(now, at time.Time) bool { return !at.IsZero() && !now.Before(at) }

// earlier is the earlier of two deadlines, zero being none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
