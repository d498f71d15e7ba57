package runner

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// inForeground says that stdin is a terminal whose keys go to our process group.
func inForeground(stdin *os.File) bool {
	if stdin == nil {
		return false
	}
	group, err := unix.IoctlGetInt(int(stdin.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// takeTerminalBack puts us where the command was, so that a shell finds its
// terminal as it left it. It is for who gave it away only: a job in the background
// must not take its shell's terminal. A background process that sets the foreground is stopped
// by SIGTTOU unless it ignores it.
func takeTerminalBack(stdin *os.File) {
	signal.Ignore(syscall.SIGTTOU)
	_ = unix.IoctlSetPointerInt(int(stdin.Fd()), unix.TIOCSPGRP, unix.Getpgrp())
}
