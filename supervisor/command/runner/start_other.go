//go:build !linux

package runner

import (
	"os"
	"syscall"
)

func attributes(stdin *os.File) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if inForeground(stdin) {
		attr.Foreground, attr.Ctty = true, int(stdin.Fd())
	}
	return attr
}
