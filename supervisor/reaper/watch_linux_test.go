package reaper

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
)

// watched returns what Watch tells of pid.
func watched(r *Reaper, pid int) <-chan Status {
	told := make(chan Status, 2) // a second telling, which is a bug, must not block the reaper
	r.Watch(pid, func(st Status) { told <- st })
	return told
}

// adopted leaves one child of ours that we have not forked. It lives until end is
// called.
func adopted(t *testing.T, r *Reaper) (pid int, end func()) {
	t.Helper()
	hold, release, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := act(t, "adopt", "stay")
	cmd.Stdin = hold
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	wait, err := r.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	pid = readPID(t, out)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	hold.Close()
	t.Cleanup(func() { release.Close() })
	return pid, func() { release.Close() }
}

// ended waits until pid is a zombie or gone.
func ended(t *testing.T, pid int) {
	t.Helper()
	for range 2000 {
		var info siginfo
		if !alive(pid, &info) {
			return
		}
		time.Sleep(time.Millisecond) // nobody tells about a process that is not ours to reap yet
	}
	t.Fatalf("process %d still runs", pid)
}

func TestAProcessThatIsWatchedWhileItRunsIsToldOnce(t *testing.T) {
	r := running(t)
	pid, end := adopted(t, r)
	told := watched(r, pid)
	end()
	if st := within(t, told, "status"); !st.OK() || st.PID != pid {
		t.Errorf("status %+v, want exit status 0 of %d", st, pid)
	}
	r.look()
	if len(told) != 0 {
		t.Error("told twice")
	}
}

func TestEachWatcherOfOneProcessIsTold(t *testing.T) {
	r := running(t)
	pid, end := adopted(t, r)
	first, second := watched(r, pid), watched(r, pid)
	end()
	within(t, first, "first")
	within(t, second, "second")
}

func TestAProcessThatEndedBeforeItWasWatchedIsTold(t *testing.T) {
	r := running(t)
	pids := orphans(t, r, 4)
	for _, pid := range pids {
		ended(t, pid)
	}
	waitFor(t, r, func() bool { return len(r.unclaimed.entries) == 4 })
	if st := within(t, watched(r, pids[3]), "status"); st.Code != 3 {
		t.Errorf("status %v, want 3", st)
	}
	if st := within(t, watched(r, pids[3]), "status"); !st.Unknown {
		t.Errorf("asked again: %v, want unknown: the status was given away", st)
	}
}

func TestAProcessThatEndedBeforeRunIsTold(t *testing.T) {
	r := New(zap.NewNop())
	pid := orphans(t, r, 1)[0]
	ended(t, pid)
	told := watched(r, pid)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	if st := within(t, told, "status"); !st.OK() {
		t.Errorf("status %v", st)
	}
	cancel()
	within(t, done, "end of Run")
}

func TestAWatcherMayCallTheReaper(t *testing.T) {
	r := running(t)
	pid, end := adopted(t, r)
	got := make(chan error, 1)
	r.Watch(pid, func(st Status) {
		r.Orphans()
		got <- r.Signal(st.PID, syscall.SIGTERM)
	})
	end()
	if err := within(t, got, "callback"); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal after the end: %v, want process done", err)
	}
}

// The kernel shows the same ended child first until it is collected.
func TestACommandThatNobodyWaitsForDoesNotHideOrphans(t *testing.T) {
	r := running(t)
	wait, err := r.Start(act(t, "exit", 5))
	if err != nil {
		t.Fatal(err)
	}
	ended(t, pidOf(r))
	watchOrphans(t, r, 20)
	if code := exitCode(wait()); code != 5 {
		t.Errorf("exit status %d, want 5", code)
	}
}

// A pid that comes round again must not get its predecessor's status.
func TestAKeptStatusOfARecycledPidIsNotTold(t *testing.T) {
	r := running(t)
	pid, end := adopted(t, r)
	r.mu.Lock()
	r.unclaimed.put(time.Now(), Status{PID: pid, Code: 99})
	r.mu.Unlock()
	told := watched(r, pid)
	end()
	if st := within(t, told, "status"); st.Code != 0 {
		t.Errorf("status %v, want the living process's 0", st)
	}
	if n := r.Orphans(); n != 1 {
		t.Errorf("Orphans %d, want the older process", n)
	}
}

func TestSignalsReachOnlyKnownProcesses(t *testing.T) {
	r := running(t)
	pid, _ := adopted(t, r)
	if err := r.Signal(pid, syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("not watched: %v, want process done", err)
	}
	told := watched(r, pid)
	if err := r.Signal(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if st := within(t, told, "status"); st.Signal != syscall.SIGKILL || st.String() != "signal 9 (SIGKILL)" {
		t.Errorf("status %v", st)
	}
	if err := r.Signal(pid, syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("after the end: %v, want process done", err)
	}
}

func TestSignalsReachCommandsUntilTheyWereWaitedFor(t *testing.T) {
	r := running(t)
	cmd := act(t, "ignore-term")
	pipe, err := cmd.StdinPipe() // closed by Wait
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	wait, err := r.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	pid := pidOf(r)
	if err := r.Signal(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.Signal(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := wait(); !errors.As(err, &exit) || exit.Error() != "signal: killed" {
		t.Fatalf("wait: %v, want the second signal", err)
	}
	if err := r.Signal(pid, syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("after the end: %v, want process done", err)
	}
}

func TestAProcessThatIsGoneAndWasNeverOursIsToldAsUnknown(t *testing.T) {
	r := running(t)
	wait, err := r.Start(act(t, "exit", 0))
	if err != nil {
		t.Fatal(err)
	}
	pid := pidOf(r)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	if st := within(t, watched(r, pid), "status"); !st.Unknown || st.OK() {
		t.Errorf("status %+v, want unknown", st)
	}
}
