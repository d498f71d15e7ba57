package runner

import (
	"os"
	"syscall"
)

// attributes: a process group of its own, in the foreground of our terminal if we
// are there, and a SIGTERM if we die. The kernel ties the latter to the thread
// that forks; Go's threads live as long as the process.
func attributes(stdin *os.File) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if inForeground(stdin) {
		attr.Foreground, attr.Ctty = true, int(stdin.Fd())
	}
	return attr
}
