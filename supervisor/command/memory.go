package command

import (
	"fmt"
	"syscall"
	"time"
)

// The guard's constants. A process with less than guardWorth frees nothing worth
// its end. What was said of a full cgroup is said again only after it was clearly
// below the threshold.
const (
	guardWorth  = 16 << 20
	guardResume = 0.95
)

// guard is what the machine remembers of memory.
type guard struct {
	warned bool
	ended  bool      // the whole command was ended for memory
	struck time.Time // when there was a victim last
	victim int       // pid that got SIGTERM; 0: none
}

func (m *Machine) onMeasured(now time.Time, ev Measured, acts []Action) []Action {
	if m.state != Ready && m.state != Draining {
		return acts
	}
	acts = m.warnOfMemory(ev, acts)
	if !m.guard.struck.IsZero() && now.Sub(m.guard.struck) < m.cfg.GuardPause {
		return acts
	}
	if hard := int64(m.cfg.GuardHard * float64(ev.Limit)); hard > 0 && ev.Current > hard {
		why := fmt.Sprintf("for the memory of the pod (%s > %s of %s)", megabytes(ev.Current), megabytes(hard), megabytes(ev.Limit))
		return m.strike(now, ev, why, true, acts)
	}
	var sum int64
	for _, p := range ev.Tree {
		sum += p.Bytes
	}
	if m.cfg.MemoryLimit == 0 || sum <= m.cfg.MemoryLimit {
		m.guard.victim = 0
		return acts
	}
	why := fmt.Sprintf("for the memory of the tree (%s > %s)", megabytes(sum), megabytes(m.cfg.MemoryLimit))
	return m.strike(now, ev, why, false, acts)
}

func (m *Machine) warnOfMemory(ev Measured, acts []Action) []Action {
	soft := m.cfg.GuardSoft * float64(ev.Limit)
	switch current := float64(ev.Current); {
	case soft > 0 && current > soft && !m.guard.warned:
		m.guard.warned = true
		return append(acts, Warn{"memory of the pod is nearly used up", fmt.Sprintf("%s of %s", megabytes(ev.Current), megabytes(ev.Limit))})
	case current < guardResume*soft || soft == 0:
		m.guard.warned = false
	}
	return acts
}

// strike ends somebody by policy: the command itself, when that is the policy or
// when nobody has more.
func (m *Machine) strike(now time.Time, ev Measured, why string, atOnce bool, acts []Action) []Action {
	fattest, ok := m.fattest(ev.Tree)
	if !ok {
		return acts // something else in the pod is fat; there is nothing here to gain
	}
	if m.cfg.MemoryAction == Whole || fattest.PID == m.pid {
		return m.strikeCommand(now, why, atOnce, acts)
	}
	sig := syscall.SIGTERM
	if atOnce {
		sig = syscall.SIGKILL
	} else if m.guard.victim == fattest.PID {
		if now.Sub(m.guard.struck) < m.cfg.KillGrace {
			return acts // it was told, and may still be about to
		}
		sig = syscall.SIGKILL
	}
	m.guard.struck, m.guard.victim = now, fattest.PID
	detail := fmt.Sprintf("process %d (%s) with %s gets signal %d %s", fattest.PID, fattest.Name, megabytes(fattest.Bytes), int(sig), why)
	return append(acts, Warn{"the fattest process is ended", detail}, End{PID: fattest.PID, Signal: sig})
}

// strikeCommand ends the whole tree.
func (m *Machine) strikeCommand(now time.Time, why string, atOnce bool, acts []Action) []Action {
	if m.guard.ended && !atOnce {
		return acts // its SIGKILL is due at killAt
	}
	m.guard.struck, m.guard.ended, m.why = now, true, "was ended "+why
	if atOnce {
		return m.cutOff(now, acts)
	}
	m.killAt = earlier(m.killAt, now.Add(m.cfg.KillGrace))
	if m.state == Ready {
		acts = m.move(Draining, ReasonOOM, m.why, acts)
	}
	return m.stop(acts)
}

func (m *Machine) fattest(tree []Process) (most Process, ok bool) {
	for _, p := range tree {
		if p.Bytes >= guardWorth && p.Bytes > most.Bytes {
			most, ok = p, true
		}
	}
	return most, ok
}

// megabytes is for people.
func megabytes(n int64) string { return fmt.Sprintf("%d MB", (n+1<<19)>>20) }
