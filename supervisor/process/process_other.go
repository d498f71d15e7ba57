//go:build !linux

package process

import (
	"errors"
	"fmt"
)

// Memory limits and the OOM killer are Linux's. Elsewhere (`crisper dev` on a
// laptop) there is nothing to measure, and the callers go without.

// PrivateMemory is for Linux only.
func PrivateMemory(pid int) (int64, error) { return 0, unsupported("measure", pid) }

func glanceAt(pid int) (glance, error) { return glance{}, unsupported("measure", pid) }

// PSS is for Linux only.
func PSS(pid int) (int64, error) { return 0, unsupported("measure", pid) }

// TreeMemory is for Linux only.
func TreeMemory(root int) (int64, error) { return 0, unsupported("measure", root) }

// Children is for Linux only.
func Children(pid int) ([]int, error) { return nil, unsupported("list the children of", pid) }

// SetOOMScoreAdj is for Linux only.
func SetOOMScoreAdj(pid, _ int) error { return unsupported("set oom_score_adj of", pid) }

func unsupported(verb string, pid int) error {
	return fmt.Errorf("cannot %s process %d: %w", verb, pid, errors.ErrUnsupported)
}

// Title is for Linux only.
func Title(string) error { return errors.ErrUnsupported }
