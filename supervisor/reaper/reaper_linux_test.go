package reaper

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestWaitOfACommandKeepsItsStatus(t *testing.T) {
	r := running(t)
	wait, err := r.Start(act(t, "exit", 7))
	if err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Fatalf("wait: %v, want exit status 7", err)
	}
	if err := wait(); !errors.As(err, &exit) {
		t.Errorf("wait again: %v, want the same", err)
	}
}

func TestAFailedStartIsAnErrorAndLeavesNothing(t *testing.T) {
	r := running(t)
	if _, err := r.Start(exec.Command("/no/such/program")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("Start: %v, want not exist", err)
	}
	if len(r.owned) != 0 {
		t.Errorf("owned: %v", r.owned)
	}
}

// 150 commands and 150 orphans end at the same time; every status must be exact.
func TestCommandsAndOrphansAtOnceAreExact(t *testing.T) {
	const n = 150
	r := running(t)
	var waits sync.WaitGroup
	for i := range n {
		wait, err := r.Start(exec.Command("/bin/sh", "-c", "exit "+strconv.Itoa(i%200)))
		if err != nil {
			t.Fatal(err)
		}
		waits.Go(func() {
			if code := exitCode(wait()); code != i%200 {
				t.Errorf("command %d: exit status %d", i, code)
			}
		})
		if i == n/2 {
			watchOrphans(t, r, n)
		}
	}
	waits.Wait()
}

// watchOrphans has a child leave n orphans and checks each one's status.
func watchOrphans(t testing.TB, r *Reaper, n int) {
	t.Helper()
	statuses := make(chan [2]int, n) // all at once: nothing may block the reaper
	for i, pid := range orphans(t, r, n) {
		r.Watch(pid, func(st Status) { statuses <- [2]int{i, st.Code} })
	}
	for range n {
		if got := within(t, statuses, "status of an orphan"); got[1] != got[0]%200 {
			t.Errorf("orphan %d: exit status %d", got[0], got[1])
		}
	}
}

// orphans has a child leave n orphans, whose exit status is their index % 200.
func orphans(t testing.TB, r *Reaper, n int) []int {
	t.Helper()
	var out bytes.Buffer
	cmd := act(t, "orphans", n)
	cmd.Stdout = &out
	wait, err := r.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, field := range strings.Fields(out.String()) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		return -1
	}
}
