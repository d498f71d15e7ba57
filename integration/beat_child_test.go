//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
)

// ownScheduler is an app with a scheduler class of its own, that writes down each of
// its turns, with its process.
const ownScheduler = `
import os, time
from celery import Celery
from celery.beat import Scheduler

app = Celery('beatapp', broker=os.environ['BEAT_BROKER'])
app.conf.beat_schedule = {'one': {'task': 'beatapp.one', 'schedule': 1.0}}
app.conf.beat_max_loop_interval = 0.2

class Noting(Scheduler):
    def tick(self, *args, **kwargs):
        with open('turns', 'a') as turns:
            turns.write(f'{time.monotonic():.3f} {os.getpid()}\n')
        return super().tick(*args, **kwargs)
`

// turn is one look of a celery beat at its schedule.
type turn struct {
	at  float64
	pid int
}

func turns(t *testing.T, f *fleet) (all []turn) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "turns"))
	if os.IsNotExist(err) {
		return nil
	}
	harness.Must(t, err)
	for line := range strings.Lines(string(text)) {
		var one turn
		if _, err := fmt.Sscan(line, &one.at, &one.pid); err == nil { // the last line may be half written
			all = append(all, one)
		}
	}
	return all
}

// handedOver fails when two processes took turns at the same time.
func handedOver(t *testing.T, all []turn) {
	t.Helper()
	over := map[int]bool{}
	for i := range all {
		if i > 0 && all[i-1].pid != all[i].pid {
			over[all[i-1].pid] = true
		}
		if over[all[i].pid] {
			t.Fatalf("process %d looks at the schedule although another has taken over: %v", all[i].pid, all[max(0, i-6):i+1])
		}
	}
}

func childFleet(t *testing.T, n int) *fleet {
	t.Helper()
	bed := harness.New(t)
	f := makeFleet(t, bed, beatRedis(t, bed), "--election", "redis", "-S", "beatapp:Noting")
	f.write(ownScheduler)
	f.grow(n)
	return f
}

// newTurns waits until a process other than those takes turns, and returns it.
func (f *fleet) newTurns(within time.Duration, not ...int) int {
	f.t.Helper()
	var pid int
	harness.Must(f.t, harness.Until(harness.Deadline(f.t, within), "another celery beat", func() bool {
		all := turns(f.t, f)
		if len(all) == 0 {
			return false
		}
		pid = all[len(all)-1].pid
		for _, other := range not {
			if pid == other {
				return false
			}
		}
		return true
	}))
	return pid
}

func (f *fleet) leading() *replica {
	f.t.Helper()
	var found *replica
	harness.Must(f.t, harness.Until(harness.Deadline(f.t, time.Minute), "a leader", func() bool {
		for _, r := range f.replicas {
			if r.state(f.t.Context()).Leader {
				found = r
			}
		}
		return found != nil
	}))
	return found
}

func TestOfTwoCeleryBeatsWithASchedulerOfTheirOwnOneTicksWhateverHappens(t *testing.T) {
	t.Parallel()
	f := childFleet(t, 3)
	pid := f.newTurns(time.Minute)
	for range rounds(t) {
		for _, fault := range []struct {
			what  string
			do    func(r *replica) error
			bound time.Duration
		}{
			{"TERM", func(r *replica) error { return r.Signal(syscall.SIGTERM) }, 2 * time.Second},
			{"kill -9", func(r *replica) error { return r.Kill() }, afterKill},
			{"STOP", func(r *replica) error { return r.Signal(syscall.SIGSTOP) }, afterKill},
		} {
			old := f.leading()
			began, busy := time.Now(), harness.WatchBusy()
			harness.Must(t, fault.do(old))
			pid = f.newTurns(fault.bound+time.Minute, pid)
			took, allowed := time.Since(began), busy.Stretch(fault.bound)
			t.Logf("%s: another ticks after %s (%s on this machine: %s)", fault.what, took.Round(10*time.Millisecond), fault.bound, allowed.Round(10*time.Millisecond))
			if took > allowed {
				t.Errorf("%s: another ticks after %s, which is more than %s", fault.what, took, fault.bound)
			}
			if fault.what == "STOP" {
				harness.Must(t, old.Signal(syscall.SIGCONT))
				harness.Must(t, old.WaitReady(harness.Deadline(t, time.Minute)))
			} else {
				f.replace(old)
			}
		}
	}
	f.stop()
	handedOver(t, turns(t, f))
}

// What the supervisor does not see: the child alone is frozen, or dies.
func TestACeleryBeatThatDiesIsStartedAgainAndOneThatHangsIsKilledWithTheTerm(t *testing.T) {
	t.Parallel()
	f := childFleet(t, 2)
	pid := f.newTurns(time.Minute)
	lead := f.leading()
	harness.Must(t, syscall.Kill(pid, syscall.SIGKILL))
	pid = f.newTurns(20*time.Second, pid)
	if f.leading() != lead {
		t.Error("the leader has changed")
	}
	harness.Must(t, lead.Signal(syscall.SIGHUP))
	pid = f.newTurns(20*time.Second, pid)
	harness.Must(t, syscall.Kill(pid, syscall.SIGSTOP))
	began := time.Now()
	harness.Must(t, lead.Signal(syscall.SIGTERM))
	f.newTurns(20*time.Second, pid)
	t.Logf("another ticks %s after TERM with a frozen child", time.Since(began).Round(10*time.Millisecond))
	if code, _, err := lead.Wait(harness.Deadline(t, time.Minute)); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err == nil {
		t.Errorf("process %d is left", pid)
	}
	f.replace(lead)
	f.stop()
	handedOver(t, turns(t, f))
}
