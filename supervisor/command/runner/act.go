package runner

import (
	"errors"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/command"
	"crisper/supervisor/command/tree"
	"crisper/supervisor/ops"
	"crisper/supervisor/process"
	"crisper/supervisor/reaper"
)

func (l *loop) onSignal(sig os.Signal) {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return
	}
	l.log.Debug("signal", zap.Stringer("signal", number))
	l.step(command.Signalled{Signal: number})
}

func (l *loop) act(acts []command.Action) {
	for _, act := range acts {
		switch a := act.(type) {
		case command.Start:
			l.start()
		case command.Forward:
			l.signal(l.machine.PID(), a.Signal)
		case command.Sweep:
			l.sweep(a.Signal)
		case command.End:
			l.end(a)
		case command.Transition:
			l.tell(a)
		case command.Warn:
			l.log.Warn(a.Message, zap.String("detail", a.Detail))
		case command.Leave:
			l.done, l.exit, l.why = true, a.Code, a.Why
			if l.guest != nil {
				l.guest.Ended(l.text, max(time.Second, l.cfg.Command.Margin/2), l.recordable(time.Now()))
			}
		}
	}
}

// start is synchronous: it returns when the program has been executed, or could
// not be. What is signalled meanwhile waits in the channel.
func (l *loop) start() {
	cmd, err := l.cmd()
	var wait func() error
	if err == nil {
		l.invite(cmd)
		if wait, err = l.reaper.Start(cmd); err != nil && l.guest != nil {
			l.guest.Failed()
			l.guest = nil
		}
	}
	if err != nil {
		code, why := ShellCode(l.cfg.Args[0], err)
		l.next = append(l.next, command.StartFailed{Code: code, Reason: why})
		return
	}
	l.startedAt, l.foreground = time.Now(), cmd.SysProcAttr.Foreground
	pid := cmd.Process.Pid
	if l.cfg.OOMScoreAdj != 0 {
		if err := process.SetOOMScoreAdj(pid, l.cfg.OOMScoreAdj); err != nil {
			l.log.Info("the command keeps our oom_score_adj", zap.Error(err))
		}
	}
	if l.guest != nil {
		l.guest.Started()
	}
	l.next = append(l.next, command.Started{PID: pid})
	go process.Trim() // our own start is over
	go func() {
		_ = wait() // an exit status that is not 0 is an error to it
		status := reaper.StatusOf(cmd)
		l.post(func() { l.onExit(status) })
	}()
}

func (l *loop) onExit(st reaper.Status) {
	text := st.String()
	if l.cgroup != nil && st.Signal == syscall.SIGKILL && l.machine.State() != command.Killing {
		if after, err := l.cgroup.Usage(); err == nil {
			text = process.Explain(st, l.recall.Before(), after)
		}
	}
	if l.foreground {
		takeTerminalBack(l.deps.Stdin)
	}
	l.text = text
	l.step(command.Exited{Code: st.Code, Signal: st.Signal, Text: text})
}

func (l *loop) signal(pid int, sig syscall.Signal) {
	if err := l.reaper.Signal(pid, sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		l.log.Warn("cannot pass a signal on", zap.Stringer("signal", sig), zap.Error(err))
	}
}

// end signals a process of the tree that need not be our child.
func (l *loop) end(a command.End) {
	if a.PID == l.machine.PID() {
		l.signal(a.PID, a.Signal)
		return
	}
	tree.Signal(a.PID, a.Signal)
}

func (l *loop) sweep(sig syscall.Signal) {
	pid, running := l.machine.PID(), l.machine.State() == command.Killing
	go func() {
		if sig == syscall.SIGKILL && running && l.reaper.Signal(pid, 0) == nil {
			_ = syscall.Kill(-pid, sig) // all at once, so that none forks away; the rest is found below
		}
		alive, names := tree.Sweep(sig)
		l.post(func() { l.step(command.Swept{Alive: alive, Names: names}) })
	}()
}

// tell is where a transition becomes the log line, the metric and the state page.
func (l *loop) tell(t command.Transition) {
	from, to := t.From.String(), t.To.String()
	l.metrics.Transition(from, to, string(t.Reason))
	l.metrics.Slots(map[string]int{to: 1})
	l.recent = append([]ops.TransitionState{{At: time.Now(), From: from, To: to, Reason: string(t.Reason), Detail: t.Detail}}, l.recent...)
	l.recent = l.recent[:min(len(l.recent), recentKept)]
	if t.From == command.Ready && t.To == command.Draining && t.Reason != command.ReasonOOM {
		l.told = time.Now()
		if l.guest != nil {
			l.guest.Leaving()
		}
	}
	level := zap.InfoLevel
	if t.Reason == command.ReasonOOM || t.Reason == command.ReasonCutoff {
		level = zap.WarnLevel
	}
	l.log.Log(level, "command", zap.String("command", l.name()), zap.String("from", from), zap.String("to", to),
		zap.String("reason", string(t.Reason)), zap.String("detail", t.Detail))
}
