package reaper

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
)

// Run is stopped and started again under everything else; nothing is lost,
// because what was not collected is still there for the next Run.
func TestStoppingAndStartingUnderLoadLosesNothing(t *testing.T) {
	r := New(zap.NewNop())
	finish := make(chan struct{})
	var runs sync.WaitGroup
	runs.Go(func() {
		for {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(5))*time.Millisecond)
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			select {
			case <-finish:
				return
			default:
			}
		}
	})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			watchOrphans(t, r, 10)
			for range 10 {
				killed(t, r)
			}
		})
	}
	work.Wait()
	close(finish)
	runs.Wait()
}

// killed starts a command and ends it by a signal that races with its own end.
func killed(t *testing.T, r *Reaper) {
	cmd := exec.Command("/bin/true")
	wait, err := r.Start(cmd)
	if err != nil {
		t.Error(err)
		return
	}
	if err := r.Signal(cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal: %v", err)
	}
	var exit *exec.ExitError
	if err := wait(); err != nil && !errors.As(err, &exit) {
		t.Errorf("wait: %v, want an exit status", err)
	}
}

// What a command costs from Start to its status, Run being woken by its SIGCHLD.
func BenchmarkStartAndWait(b *testing.B) {
	r := running(b)
	for b.Loop() {
		wait, err := r.Start(exec.Command("/bin/true"))
		if err != nil {
			b.Fatal(err)
		}
		if err := wait(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookWhenNothingEnded(b *testing.B) {
	r := New(zap.NewNop())
	for b.Loop() {
		r.look()
	}
}
