package native

import (
	"fmt"
	"os"
	"syscall"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"crisper/supervisor/events"
	"crisper/supervisor/ledger"
	"crisper/supervisor/ops"
	"crisper/supervisor/pool"
)

// interrupt raises SoftTimeLimitExceeded in this task and in no other: the page
// says which task is meant, the signal handler compares.
func (l *loop) interrupt(c *child, a pool.Interrupt) {
	if e := l.book.Get(ledger.Seq(a.Task)); e != nil {
		m := &e.Delivery.Message
		l.log.Warn(fmt.Sprintf("Soft time limit (%gs) exceeded for %s[%s]", a.Limit.Seconds(), events.Name(m), m.ID),
			zap.String("task", m.Task), zap.String("task_id", m.ID))
	}
	c.page.SetTarget(uint64(a.Task))
	l.signal(c, syscall.SIGUSR1)
}

func (l *loop) killChild(c *child, a pool.Kill) {
	if c.pid == 0 {
		l.unborn(c, "it was given up before it was forked")
		return
	}
	if c.kill.Reason == "" && !harmless(a.Signal) {
		c.kill = a
	}
	if a.Reason == pool.ReasonOOM {
		c.killDetail = fmt.Sprintf(" (killed by the supervisor for its memory: %d bytes private, cgroup %d of %d bytes)", l.memory[c.id], l.cgroup.CurrentBytes, l.cgroup.LimitBytes)
	}
	l.signal(c, sysSignalByName(a.Signal))
}

// transition is the one place that turns a change of state into the log line,
// the metric and the state page.
func (l *loop) transition(a pool.Transition) {
	l.metrics.Transition(a.From.String(), a.To.String(), string(a.Reason))
	l.history.add(ops.TransitionState{
		At: l.now, Slot: int(a.Slot), Child: uint64(a.Child),
		From: a.From.String(), To: a.To.String(), Reason: string(a.Reason), Detail: a.Detail,
	})
	if a.Reason == pool.ReasonTask {
		return // every task would be a line
	}
	log := l.log.Debug
	if notable(a.Reason) {
		log = l.log.Warn
	}
	log("slot changed", zap.Int("slot", int(a.Slot)), zap.Uint64("child", uint64(a.Child)),
		zap.Stringer("from", a.From), zap.Stringer("to", a.To), zap.String("reason", string(a.Reason)), zap.String("detail", a.Detail))
}

// notable: an operator wants to see it at the default level.
func notable(r pool.Reason) bool {
	switch r {
	case pool.ReasonCrashed, pool.ReasonHung, pool.ReasonHardLimit, pool.ReasonOOM, pool.ReasonCutoff, pool.ReasonBroken, pool.ReasonForkFail:
		return true
	}
	return false
}

const (
	sigkill = syscall.SIGKILL
	sigstop = syscall.SIGSTOP
	sigcont = syscall.SIGCONT
)

// harmless signals end nothing: should the child die all the same, that was not why.
func harmless(signal string) bool {
	switch signal {
	case "SIGUSR1", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGCHLD", "SIGURG", "SIGWINCH":
		return true
	}
	return false
}

func sysSignal(s os.Signal) syscall.Signal {
	if sig, ok := s.(syscall.Signal); ok {
		return sig
	}
	return syscall.SIGTERM
}

func sysSignalByName(name string) syscall.Signal {
	if n := unix.SignalNum(name); n != 0 {
		return n
	}
	return syscall.SIGTERM
}
