package reaper

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

type siginfo = unix.Siginfo

// alive says that pid is our child, or about to be, and has not ended.
func alive(pid int, info *siginfo) bool {
	if err := waitid(unix.P_PID, pid, info); err != nil {
		return !isGone(pid)
	}
	return siginfoPID(info) == 0
}

func readPID(t *testing.T, r io.Reader) int {
	t.Helper()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("no pid from the child: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// pidOf is the pid of the only command.
func pidOf(r *Reaper) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for pid := range r.owned {
		return pid
	}
	return 0
}

// waitFor waits until something is true of r.
func waitFor(t *testing.T, r *Reaper, ok func() bool) {
	t.Helper()
	for range 2000 {
		r.mu.Lock()
		done := ok()
		r.mu.Unlock()
		if done {
			return
		}
		time.Sleep(time.Millisecond) // keeping a status tells nobody, by design
	}
	t.Fatal("it did not become true within seconds")
}
