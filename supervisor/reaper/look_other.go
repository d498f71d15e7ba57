//go:build unix && !linux

package reaper

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// There is no subreaper here: processes forked by our children are adopted by
// PID 1, which sends us no signal. This is for `crisper dev` on a laptop.
const lookEvery = 100 * time.Millisecond

// reapAll asks for each watched process; others are never ours to reap.
func (r *Reaper) reapAll() {
	for pid := range r.watched {
		if !r.reap(pid) && isGone(pid) {
			r.ended(Status{PID: pid, Code: -1, Unknown: true})
		}
	}
}

// isChild cannot be asked without collecting, so that every process is put on
// the list and reapAll finds out.
func isChild(int) bool { return true }

func lookAgain() (<-chan time.Time, func()) {
	ticker := time.NewTicker(lookEvery)
	return ticker.C, ticker.Stop
}

// BecomeSubreaper is for Linux only.
func BecomeSubreaper() error {
	return fmt.Errorf("cannot become the reaper of orphaned descendants: %w", errors.ErrUnsupported)
}

func signalName(sig syscall.Signal) string { return unix.SignalName(sig) }
