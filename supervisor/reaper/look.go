package reaper

import (
	"syscall"
	"time"

	"go.uber.org/zap"
)

// look reaps everything that has ended and is not left to an exec.Cmd, then
// tells those who watch. They are told outside the lock: they may call us.
func (r *Reaper) look() {
	r.mu.Lock()
	r.reapAll()
	due := r.due
	r.due = nil
	r.mu.Unlock()
	for _, d := range due {
		d.fn(d.status)
	}
}

// reap collects the status of pid if it has ended. The caller holds the lock and
// has made sure that no exec.Cmd waits for it.
func (r *Reaper) reap(pid int) bool {
	var ws syscall.WaitStatus
	got, err := wait4(pid, &ws)
	if err != nil || got != pid {
		return false
	}
	r.ended(statusOf(pid, ws))
	return true
}

// ended passes a status to those who watch, or keeps it.
func (r *Reaper) ended(st Status) {
	fns, ok := r.watched[st.PID]
	if !ok {
		r.orphans += int64(r.unclaimed.put(time.Now(), st))
		r.log.Debug("reaped a process that nobody watches", zap.Int("pid", st.PID), zap.Stringer("status", st))
		return
	}
	delete(r.watched, st.PID)
	for _, fn := range fns {
		r.due = append(r.due, delivery{fn, st})
	}
}

func wait4(pid int, ws *syscall.WaitStatus) (int, error) {
	for {
		got, err := syscall.Wait4(pid, ws, syscall.WNOHANG, nil)
		if err != syscall.EINTR {
			return got, err
		}
	}
}

// isGone says that no process has this number.
func isGone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH }
