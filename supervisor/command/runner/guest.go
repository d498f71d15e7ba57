package runner

import (
	"os/exec"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/command"
)

// invite puts the guest into a command that is about to be started. That it cannot be
// done is no reason not to start it.
func (l *loop) invite(cmd *exec.Cmd) {
	if l.deps.Guest == nil {
		return
	}
	env, files, err := l.deps.Guest.Prepare(cmd.Env, l.metrics, l.reaper.Start, l.onHung)
	if err != nil {
		l.log.Warn("the agent is off", zap.Error(err))
		return
	}
	cmd.Env, cmd.ExtraFiles = env, files
	l.guest = l.deps.Guest
}

// What is left of the grace when the guest is not waited for any more, and how long it is
// where there is none.
const (
	recordReserve = 150 * time.Millisecond
	recordAtEnd   = 30 * time.Second
	recordAtLeast = 500 * time.Millisecond // whatever the grace says
)

// recordable is how long the guest may have for what is of use to others only.
func (l *loop) recordable(now time.Time) time.Duration {
	if l.told.IsZero() || l.cfg.Command.Grace == 0 {
		return recordAtEnd
	}
	return max(recordAtLeast, l.told.Add(l.cfg.Command.Grace-recordReserve).Sub(now))
}

// onHung ends the command as somebody would who sends TERM; a deaf one as somebody who
// does so again: that is a KILL after CutoffGrace.
func (l *loop) onHung(deaf bool) {
	l.post(func() {
		l.step(command.DrainRequested{})
		if deaf {
			l.step(command.Deaf{})
		}
	})
}
