package main

import (
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

func TestSignalsWithoutAMeaningDoNotEndTheWorker(t *testing.T) {
	signals, stop := listenSignals()
	defer stop()
	for _, sig := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGPIPE, syscall.SIGHUP} {
		if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-signals; got != syscall.SIGHUP {
		t.Errorf("the worker was told of %v", got)
	}
}

func TestSoftShutdownIsAWarmOneThatEndsInACold(t *testing.T) {
	const TERM, INT, QUIT, HUP = syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP
	for _, test := range []struct {
		name  string
		remap bool
		soft  time.Duration
		in    []os.Signal
		want  string // what the runtime gets; + starts the time
	}{
		{"TERM", false, time.Minute, []os.Signal{TERM, TERM}, "terminated terminated"},
		{"QUIT without a time", false, 0, []os.Signal{QUIT}, "quit"},
		{"QUIT", false, time.Minute, []os.Signal{QUIT}, "terminated+"},
		{"QUIT twice", false, time.Minute, []os.Signal{QUIT, QUIT}, "terminated+ quit"},
		{"QUIT after TERM does not hurry", false, time.Minute, []os.Signal{TERM, QUIT, QUIT}, "terminated nothing+ quit"},
		{"INT twice", false, time.Minute, []os.Signal{INT, INT, INT}, "interrupt nothing+ quit"},
		{"INT twice without a time", false, 0, []os.Signal{INT, INT}, "interrupt quit"},
		{"TERM remapped, without a time", true, 0, []os.Signal{TERM}, "quit"},
		{"TERM remapped", true, time.Minute, []os.Signal{HUP, TERM, TERM}, "hangup terminated+ quit"},
	} {
		state := shutdown{remap: test.remap}
		now := time.Unix(1e9, 0)
		var got []string
		for _, sig := range test.in {
			now = now.Add(time.Second)
			out, soft := state.step(now, sig, test.soft)
			said := "nothing"
			if out != nil {
				said = out.String()
			}
			if soft {
				said += "+"
			}
			got = append(got, said)
		}
		if all := strings.Join(got, " "); all != test.want {
			t.Errorf("%s: %s, want %s", test.name, all, test.want)
		}
	}
}

func TestASignalThatIsDeliveredTwiceAtOnceCountsOnce(t *testing.T) {
	const TERM, INT, QUIT, HUP = syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP
	type at struct {
		ms  time.Duration
		sig os.Signal
	}
	for _, test := range []struct {
		name string
		soft time.Duration
		in   []at
		want string
	}{
		{"TERM", 0, []at{{0, TERM}, {1, TERM}}, "terminated nothing"},
		{"INT", 0, []at{{0, INT}, {99, INT}}, "interrupt nothing"},
		{"QUIT", time.Minute, []at{{0, QUIT}, {50, QUIT}}, "terminated nothing"},
		{"a second one, also in pairs", 0, []at{{0, INT}, {1, INT}, {100, INT}, {101, INT}}, "interrupt nothing quit nothing"},
		{"a stream of them is heard", 0, []at{{0, TERM}, {60, TERM}, {120, TERM}}, "terminated nothing terminated"},
		{"another one at once", 0, []at{{0, TERM}, {1, INT}, {2, QUIT}}, "terminated interrupt quit"},
		{"HUP is counted by the runtime", 0, []at{{0, HUP}, {1, HUP}}, "hangup hangup"},
	} {
		var state shutdown
		var got []string
		for _, in := range test.in {
			out, _ := state.step(time.Unix(1e9, 0).Add(in.ms*time.Millisecond), in.sig, test.soft)
			said := "nothing"
			if out != nil {
				said = out.String()
			}
			got = append(got, said)
		}
		if all := strings.Join(got, " "); all != test.want {
			t.Errorf("%s: %s, want %s", test.name, all, test.want)
		}
	}
}

func TestTheTimeOfASoftShutdownEndsInAQuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := make(chan os.Signal)
		var timeout atomic.Int64
		timeout.Store(int64(20 * time.Second))
		out, stop := relay(in, true, &timeout, zap.NewNop())
		defer stop()
		in <- syscall.SIGTERM
		if sig := <-out; sig != syscall.SIGTERM {
			t.Errorf("first %v", sig)
		}
		begun := time.Now()
		if sig := <-out; sig != syscall.SIGQUIT || time.Since(begun) != 20*time.Second {
			t.Errorf("then %v after %s", sig, time.Since(begun))
		}
	})
}
