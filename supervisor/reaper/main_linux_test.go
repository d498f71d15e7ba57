package reaper

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
)

// The test binary is also the bad child: with this variable set it does what the
// variable says instead of running tests.
const actVariable = "REAPER_TEST_ACT"

func TestMain(m *testing.M) {
	if act := os.Getenv(actVariable); act != "" {
		misbehave(strings.Fields(act))
	}
	if err := BecomeSubreaper(); err != nil { // the tests adopt
		fmt.Fprintln(os.Stderr, err)
	}
	goleak.VerifyTestMain(m)
}

// misbehave is the life of a bad child. It does not return.
func misbehave(act []string) {
	switch act[0] {
	case "exit": // exit N
		code, _ := strconv.Atoi(act[1])
		os.Exit(code)
	case "die": // die N: by signal N
		sig, _ := strconv.Atoi(act[1])
		_ = syscall.Kill(os.Getpid(), syscall.Signal(sig))
		time.Sleep(time.Minute) // the signal may be handled by another thread
	case "orphans": // orphans N: leaves N children that exit with N%200, prints their pids
		count, _ := strconv.Atoi(act[1])
		leaveOrphans(count)
	case "adopt": // adopt WORD…: forks a child that does WORD…, prints its pid, leaves
		adopt(act[1:])
	case "ignore-term":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		_, _ = os.Stdin.Read(make([]byte, 1))
	case "init": // be PID 1 of a namespace
		beInit()
	case "stay": // ends when its standard input does
		_, _ = os.Stdin.Read(make([]byte, 1))
	}
	os.Exit(0)
}

// leaveOrphans starts shells and leaves without waiting for them, so that they
// become children of the test process. The shells are quick; some end before
// their parent does and reach the test as zombies.
func leaveOrphans(count int) {
	for n := range count {
		cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf("exit %d", n%200))
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(cmd.Process.Pid)
	}
	os.Exit(0)
}

// adopt forks a child with our standard input for the test process to adopt.
func adopt(words []string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), actVariable+"="+strings.Join(words, " "))
	cmd.Stdin = os.Stdin
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(cmd.Process.Pid)
	os.Exit(0)
}

func act(t testing.TB, words ...any) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(),
		actVariable+"="+strings.TrimSuffix(fmt.Sprintln(words...), "\n"),
		"GORACE=atexit_sleep_ms=0", // the race detector makes every exit take a second
	)
	cmd.Stderr = os.Stderr
	return cmd
}

// running returns a Reaper that runs until the test ends.
func running(t testing.TB) *Reaper {
	t.Helper()
	r := New(zap.NewNop())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// within fails the test when nothing comes for so long that something is broken.
func within[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: nothing for 20 s", what)
		panic("unreachable")
	}
}
