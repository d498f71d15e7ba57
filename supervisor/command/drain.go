package command

import (
	"fmt"
	"syscall"
	"time"
)

func (m *Machine) onSignalled(now time.Time, sig syscall.Signal, acts []Action) []Action {
	switch m.state {
	case Waiting:
		return m.beforeStart(sig, acts)
	case Starting:
		m.pending = append(m.pending, sig)
	case Ready, Draining:
		return m.onLive(now, sig, acts)
	case Sweeping:
		if ends(sig) && !m.killed {
			return m.cutOff(now, acts)
		}
	}
	return acts // Killing: nothing can be told to it any more
}

// ends says that a signal means leaving.
func ends(sig syscall.Signal) bool {
	return sig == syscall.SIGTERM || sig == syscall.SIGINT || sig == syscall.SIGQUIT
}

func (m *Machine) beforeStart(sig syscall.Signal, acts []Action) []Action {
	if !ends(sig) {
		m.pending = append(m.pending, sig)
		return acts
	}
	acts = m.move(Over, ReasonDrain, "before it was started", acts)
	return append(acts, Leave{Code: exitBySignal(sig), Why: fmt.Sprintf("told to leave (signal %d) before %s was started", int(sig), m.cfg.Name)})
}

func (m *Machine) onLive(now time.Time, sig syscall.Signal, acts []Action) []Action {
	switch sig {
	case syscall.SIGTERM:
		return m.onTerm(now, acts)
	case syscall.SIGINT, syscall.SIGQUIT:
		m.stopAt = time.Time{} // this signal is the stop
		acts = m.drain(now, fmt.Sprintf("signal %d", int(sig)), acts)
	}
	return append(acts, Forward{sig})
}

func (m *Machine) onTerm(now time.Time, acts []Action) []Action {
	switch {
	case !m.termed: // after a request to drain it says the same once more
		m.termed = true
		return m.onDrainRequested(now, acts)
	case !m.stopAt.IsZero():
		return m.stop(acts)
	case !m.hurried:
		m.hurried = true
		m.killAt = earlier(m.killAt, now.Add(m.cfg.CutoffGrace))
		return append(acts, Forward{m.cfg.StopSignal})
	}
	return m.cutOff(now, acts)
}

func (m *Machine) onDeaf(now time.Time, acts []Action) []Action {
	if m.state != Ready && m.state != Draining {
		return acts
	}
	m.termed = true
	return m.onTerm(now, acts)
}

// onDrainRequested tells the command to leave, once.
func (m *Machine) onDrainRequested(now time.Time, acts []Action) []Action {
	switch {
	case m.state == Waiting:
		return m.beforeStart(syscall.SIGTERM, acts)
	case m.state == Starting:
		m.pending = append(m.pending, syscall.SIGTERM)
		return acts
	case m.asked || m.state != Ready && m.state != Draining:
		return acts
	}
	delay := m.cfg.PreStopDelay
	if m.told {
		delay = 0 // INT or QUIT came first: whoever sent it did not want to wait
	}
	m.asked = true
	acts = m.drain(now, "told to leave", acts)
	if delay == 0 {
		return m.stop(acts)
	}
	m.stopAt = now.Add(delay)
	return acts
}

// drain begins the grace.
func (m *Machine) drain(now time.Time, detail string, acts []Action) []Action {
	if m.told {
		return acts
	}
	m.told = true
	if m.cfg.Grace > 0 {
		m.killAt = earlier(m.killAt, now.Add(m.cfg.Grace-m.cfg.Margin))
	}
	if m.state == Draining { // for its memory
		return acts
	}
	return m.move(Draining, ReasonDrain, detail, acts)
}

// stop sends the stop signal: the delay is over, or somebody did not want to wait.
func (m *Machine) stop(acts []Action) []Action {
	m.stopAt = time.Time{}
	return append(acts, Forward{m.cfg.StopSignal})
}

// cutOff kills everything that still lives.
func (m *Machine) cutOff(now time.Time, acts []Action) []Action {
	m.killAt, m.stopAt, m.lookAt = time.Time{}, time.Time{}, time.Time{}
	if m.killed {
		return acts
	}
	m.killed, m.giveUpAt = true, now.Add(m.cfg.SweepFor)
	if m.state == Sweeping {
		acts = append(acts, Warn{"processes that the command left behind did not end after SIGTERM and are killed", m.left})
		return append(acts, Sweep{syscall.SIGKILL})
	}
	reason := ReasonCutoff
	switch {
	case m.guard.ended:
		reason = ReasonOOM
	case m.hurried:
		m.why = "was told to hurry, did not leave and was killed"
	default:
		m.why = fmt.Sprintf("did not leave within its grace of %s and was killed", m.cfg.Grace)
	}
	acts = m.move(Killing, reason, m.why, acts)
	return append(acts, Sweep{syscall.SIGKILL})
}
