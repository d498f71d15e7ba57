//go:build !linux

package controlplane

import "syscall"

// dieWithParent: there is no such thing here; a test that is killed leaves its servers.
func dieWithParent(*syscall.SysProcAttr) {}
