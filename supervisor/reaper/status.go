package reaper

import (
	"fmt"
	"os/exec"
	"syscall"
)

// Status is how a process ended.
type Status struct {
	PID        int
	Code       int            // exit status; -1 when a signal ended it
	Signal     syscall.Signal // 0 when it left by itself
	CoreDumped bool
	// Unknown: the process is gone and somebody else collected its status (it
	// was not our child: no subreaper). Code is -1.
	Unknown bool
}

// OK says that the process left by itself with status 0.
func (s Status) OK() bool { return s.Code == 0 && s.Signal == 0 && !s.Unknown }

// String says it as people do: "exit status 3", "signal 9 (SIGKILL)".
func (s Status) String() string {
	switch {
	case s.Unknown:
		return "exit status unknown"
	case s.Signal == 0:
		return fmt.Sprintf("exit status %d", s.Code)
	case s.CoreDumped:
		return signalText(s.Signal) + ", core dumped"
	default:
		return signalText(s.Signal)
	}
}

func signalText(sig syscall.Signal) string {
	if name := signalName(sig); name != "" {
		return fmt.Sprintf("signal %d (%s)", int(sig), name)
	}
	return fmt.Sprintf("signal %d", int(sig))
}

// StatusOf reads how cmd ended. Without a state somebody else has waited for it,
// which only a second reaper in this process could do.
func StatusOf(cmd *exec.Cmd) Status {
	if cmd.ProcessState != nil {
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
			return statusOf(cmd.Process.Pid, ws)
		}
	}
	return Status{PID: cmd.Process.Pid, Code: 1, Unknown: true}
}

func statusOf(pid int, ws syscall.WaitStatus) Status {
	if ws.Signaled() {
		return Status{PID: pid, Code: -1, Signal: ws.Signal(), CoreDumped: ws.CoreDump()}
	}
	return Status{PID: pid, Code: ws.ExitStatus()}
}
