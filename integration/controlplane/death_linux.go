package controlplane

import "syscall"

// dieWithParent: the kernel ends the child when we are gone, whatever ended us.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
