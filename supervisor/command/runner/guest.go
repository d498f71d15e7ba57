package runner

import (
	"os/exec"
	"syscall"

	"go.uber.org/zap"

	"crisper/supervisor/command"
)

// invite puts the guest into a command that is about to be started. That it cannot be
// done is no reason not to start it.
func (l *loop) invite(cmd *exec.Cmd) {
	if l.deps.Guest == nil {
		return
	}
	env, files, err := l.deps.Guest.Prepare(cmd.Env, l.metrics, l.onHung)
	if err != nil {
		l.log.Warn("the agent is off", zap.Error(err))
		return
	}
	cmd.Env, cmd.ExtraFiles = env, files
	l.guest = l.deps.Guest
}

// onHung ends the command as somebody would who sends TERM; a deaf one as somebody who
// does so again: that is a KILL after CutoffGrace.
func (l *loop) onHung(deaf bool) {
	l.post(func() {
		l.step(command.DrainRequested{})
		if deaf {
			l.step(command.Signalled{Signal: syscall.SIGTERM})
		}
	})
}
