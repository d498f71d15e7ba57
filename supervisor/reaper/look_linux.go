package reaper

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reapAll takes the children that have ended one by one. The kernel always shows
// the same one first, so that a command whose owner has not come to Wait yet
// hides the rest; then the rest is asked one by one, and disown has us look again.
func (r *Reaper) reapAll() {
	for {
		pid := firstEnded()
		if pid == 0 {
			return
		}
		if _, ok := r.owned[pid]; ok {
			r.reapBehind()
			return
		}
		if !r.reap(pid) {
			return // cannot happen while we hold the lock; and if so, never spin
		}
	}
}

// reapBehind asks every child that is not an exec.Cmd's.
func (r *Reaper) reapBehind() {
	for _, pid := range children() {
		if _, ok := r.owned[pid]; !ok {
			r.reap(pid)
		}
	}
}

// children lists our children. Adopted ones belong to any of our threads.
// Without CONFIG_PROC_CHILDREN the list is empty, and orphans wait for disown.
func children() []int {
	files, _ := filepath.Glob("/proc/self/task/*/children")
	var pids []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended; its children were passed on
		}
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// firstEnded looks at a child that has ended without collecting it; 0: none.
func firstEnded() int {
	var info unix.Siginfo
	if waitid(unix.P_ALL, 0, &info) != nil {
		return 0
	}
	return siginfoPID(&info)
}

// isChild says that pid is our child, alive or not collected yet.
func isChild(pid int) bool {
	var info unix.Siginfo
	return waitid(unix.P_PID, pid, &info) == nil
}

func waitid(kind, id int, info *unix.Siginfo) error {
	for {
		err := unix.Waitid(kind, id, info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// siginfoPID reads si_pid, which x/sys does not name. It is the first member of
// the union, and the union is aligned as a pointer is.
func siginfoPID(info *unix.Siginfo) int {
	const header = 3 * unsafe.Sizeof(int32(0)) // si_signo, si_errno, si_code
	const align = unsafe.Sizeof(uintptr(0))
	const offset = (header + align - 1) &^ (align - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}

// lookAgain: SIGCHLD tells us everything here.
func lookAgain() (<-chan time.Time, func()) { return nil, func() {} }

// BecomeSubreaper makes orphaned descendants our children, as they are PID 1's
// otherwise. Without it (and not being PID 1) the exit statuses of processes
// forked by our children cannot be known: the caller should warn.
func BecomeSubreaper() error {
	if os.Getpid() == 1 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot become the reaper of orphaned descendants: %w", err)
	}
	return nil
}

func signalName(sig syscall.Signal) string { return unix.SignalName(sig) }
