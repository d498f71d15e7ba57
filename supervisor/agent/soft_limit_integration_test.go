//go:build integration && linux

package agent

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/supervisor/wire"
)

// interrupt does what the supervisor does when a soft limit passes.
func (c *child) interrupt(seq uint64) {
	c.page.SetTarget(seq)
	_ = syscall.Kill(c.pid, syscall.SIGUSR1)
}

func TestASoftLimitInterruptsTheBody(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		c := r.fork("executor")
		seq := c.start(message("plain.wait", "1", 30))
		r.noted("waiting")
		c.interrupt(seq)
		if got := c.done(seq); got.Result != "'interrupted'" {
			t.Errorf("got %+v", got)
		}
		seq = c.start(message("plain.clean_up", "2", 30))
		r.noted("working")
		c.interrupt(seq)
		if got := c.done(seq); got.Outcome != wire.Failure || !strings.HasPrefix(got.Exception, "SoftTimeLimitExceeded") {
			t.Errorf("got %+v", got)
		}
		r.noted("cleaned up")
	})
}

func TestASoftLimitWaitsForTheBodyToBegin(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "slow_edges"})
		c := r.fork("executor")
		seq := c.start(message("slow_edges.sleep", "1", 30))
		// task_prerun sleeps for 0.2 s; the limit passes in it.
		for c.page.Current() != seq {
			time.Sleep(time.Millisecond) // another process writes the page
		}
		time.Sleep(50 * time.Millisecond) // into the receiver
		c.interrupt(seq)
		got := c.done(seq)
		if got.Outcome != wire.Failure || !strings.HasPrefix(got.Exception, "SoftTimeLimitExceeded") || got.Runtime > 10*time.Second {
			t.Errorf("got %+v", got)
		}
	})
}

func TestASoftLimitAfterTheBodyIsDropped(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "slow_edges"})
		c := r.fork("executor")
		seq := c.start(message("slow_edges.quick", "1"))
		for !strings.Contains(r.allNotes(), "in postrun") {
			time.Sleep(time.Millisecond) // another process writes the file
		}
		c.interrupt(seq)
		if got := c.done(seq); got.Outcome != wire.Success || got.Result != "'quick'" {
			t.Errorf("got %+v", got)
		}
		if got := c.run(message("slow_edges.quick", "2")); got.Outcome != wire.Success {
			t.Errorf("the next task: %+v", got)
		}
	})
}

func TestASoftLimitForAnotherTaskIsIgnored(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		c := r.fork("executor")
		c.interrupt(99) // idle
		seq := c.start(message("plain.wait", "1", 0.2))
		for i := range uint64(20) {
			c.interrupt(seq + 1 + i)
		}
		if got := c.done(seq); got.Result != "'slept'" {
			t.Errorf("got %+v", got)
		}
	})
}

// Ten thousand tasks of 0.3 ms, each interrupted at a random moment around its
// end, with the next ones waiting in the socket.
func TestASoftLimitNeverHitsAnotherTask(t *testing.T) {
	const n, depth = 10_000, 4
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		c := r.fork("executor")
		random := rand.New(rand.NewPCG(1, 2))
		sent, interrupted := uint64(0), 0
		timers := make(chan uint64, n)
		more := func() {
			if sent < n {
				sent++
				c.send(wire.AppendTask(nil, sent, message("plain.brief", "x"), "h"))
			}
		}
		for range depth {
			more()
		}
		targets := make(map[uint64]bool)
		for ended := 0; ended < n; {
			select {
			case seq := <-timers:
				targets[seq] = true
				c.interrupt(seq)
			case f, ok := <-c.frames:
				if !ok {
					t.Fatalf("the child died: %v", c.exitStatus())
				}
				if f.Kind == wire.Begun {
					if random.IntN(4) > 0 {
						seq := f.Seq
						time.AfterFunc(time.Duration(random.IntN(600))*time.Microsecond, func() { timers <- seq })
					}
					continue
				}
				ended++
				more()
				report, err := wire.ParseDone(f.Payload)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case report.Outcome == wire.Failure && strings.HasPrefix(report.Exception, "SoftTimeLimitExceeded"):
					interrupted++
					if !targets[f.Seq] {
						t.Fatalf("task %d was interrupted and nobody asked for it", f.Seq)
					}
					if !strings.Contains(report.Traceback, "in brief") {
						t.Fatalf("interrupted outside of the body:\n%s", report.Traceback)
					}
				case report.Outcome != wire.Success:
					t.Fatalf("task %d: %+v", f.Seq, report)
				}
			}
		}
		t.Logf("%d of %d interrupted, %d asked for", interrupted, n, len(targets))
		if interrupted < n/100 {
			t.Errorf("only %d were interrupted: the test has no teeth", interrupted)
		}
	})
}
