package lease_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"crisper/beat/lease"
	"crisper/beat/lease/leasetest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

var errAway = errors.New("connection refused")

// With the defaults, an API server that takes up to 50 ms each way, and the leader
// killed or stopped at any moment.
func TestTakeOverIsAsQuickAsPromised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m leasetest.Memory
		f := leasetest.NewField(t)
		rng := rand.New(rand.NewPCG(3, 4))
		slow := leasetest.Faults{Delay: 50 * time.Millisecond}
		seats := map[string]*leasetest.Candidate{}
		for _, name := range []string{"a", "b", "c"} {
			seats[name] = f.Start(name, m.Open(), lease.Options{})
			seats[name].Backend.Set(slow)
		}
		leader := f.Next(time.Minute).Candidate
		var worstKill, worstStop time.Duration
		for range 200 {
			time.Sleep(3*time.Second + time.Duration(rng.Int64N(int64(4*time.Second)))) // any moment of a renewal's period
			begun := time.Now()
			kill := rng.IntN(2) == 0
			if kill {
				seats[leader].Kill()
			} else if err := seats[leader].Stop(); err != nil {
				t.Error(err)
			}
			next := f.Next(time.Minute)
			seats[leader] = f.Start(leader, m.Open(), lease.Options{})
			seats[leader].Backend.Set(slow)
			leader = next.Candidate
			if took := next.Begun.Sub(begun); kill {
				worstKill = max(worstKill, took)
			} else {
				worstStop = max(worstStop, took)
			}
		}
		t.Logf("at worst %v after a kill, %v after a stop", worstKill, worstStop)
		if worstKill > lease.DefaultLeaseDuration+2*time.Second || worstStop > time.Second {
			t.Error("that is too slow")
		}
	})
}

func TestATermEndsAtItsDeadlineWhenNothingAnswers(t *testing.T) {
	for name, faults := range map[string]leasetest.Faults{"refused": {Cut: errAway}, "silent": {Hang: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m leasetest.Memory
				backend := leasetest.NewFaulty(m.Open(), 1)
				ctx, stop := context.WithCancel(t.Context())
				err := lease.New(backend, lease.Options{}).Run(ctx, func(ctx context.Context, term lease.Term) {
					begun := time.Now()
					backend.Set(faults)
					<-ctx.Done()
					if d := time.Since(begun); d != lease.DefaultRenewDeadline || !errors.Is(context.Cause(ctx), lease.ErrTermEnded) {
						t.Errorf("ended after %v: %v", d, context.Cause(ctx))
					}
					if d := term.Expiry().Sub(begun); d != lease.DefaultLeaseDuration {
						t.Errorf("others after %v", d)
					}
					stop()
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRunWaitsForTheWorkAndGivesTheLeaseBackAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m leasetest.Memory
		type key struct{}
		ctx, stop := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		returned := false
		err := lease.New(m.Open(), lease.Options{}).Run(ctx, func(ctx context.Context, _ lease.Term) {
			if ctx.Value(key{}) != "value" {
				t.Error("the term's context has lost the values of Run's")
			}
			stop()
			<-ctx.Done()
			time.Sleep(time.Second) // a child that takes its time
			if r, _ := m.Open().Read(t.Context()); !r.Held() {
				t.Error("it was given back before the work had returned")
			}
			returned = true
		})
		if r, _ := m.Open().Read(t.Context()); err != nil || !returned || r.Held() {
			t.Errorf("%v, returned %v, %+v", err, returned, r)
		}
	})
}

func TestAStopWithNobodyToGiveTheLeaseBackToEndsAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m leasetest.Memory
		backend := leasetest.NewFaulty(m.Open(), 1)
		ctx, stop := context.WithCancel(t.Context())
		begun := time.Now()
		err := lease.New(backend, lease.Options{}).Run(ctx, func(ctx context.Context, _ lease.Term) {
			backend.Set(leasetest.Faults{Hang: true})
			stop()
		})
		if d := time.Since(begun); err != nil || d > lease.DefaultLeaseDuration {
			t.Errorf("%v after %v", err, d)
		}
	})
}

func TestAnUnreachableBackendIsWaitedForAndSaidSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m leasetest.Memory
		backend := leasetest.NewFaulty(m.Open(), 1)
		backend.Set(leasetest.Faults{Cut: errAway})
		core, logs := observer.New(zap.InfoLevel)
		e := lease.New(backend, lease.Options{Log: zap.New(core)})
		led := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx, func(context.Context, lease.Term) { close(led); stop() }) }()
		time.Sleep(time.Hour) // that it is away
		if s := e.Status(); !errors.Is(s.Trouble, errAway) {
			t.Errorf("status %+v", s)
		}
		if n := logs.FilterMessage("election in trouble").Len(); n < 2 || n > 20 {
			t.Errorf("said %d times in an hour", n)
		}
		backend.Set(leasetest.Faults{})
		<-led
		if err := <-done; err != nil || logs.FilterMessage("election recovered").Len() != 1 {
			t.Error(err)
		}
	})
}

func TestAFollowerGivesUpWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m leasetest.Memory
		backend := leasetest.NewFaulty(m.Open(), 1)
		backend.Set(leasetest.Faults{Hang: true})
		begun := time.Now()
		err := lease.New(backend, lease.Options{GiveUpAfter: 30 * time.Second}).Run(t.Context(), nil)
		var gaveUp *lease.GaveUp
		if d := time.Since(begun); !errors.As(err, &gaveUp) || d < 30*time.Second || d > 33*time.Second {
			t.Errorf("%v after %v", err, d)
		}
	})
}

func TestOneElectorRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m leasetest.Memory
		e := lease.New(m.Open(), lease.Options{})
		ctx, stop := context.WithCancel(t.Context())
		err := e.Run(ctx, func(context.Context, lease.Term) {
			if err := e.Run(ctx, nil); err == nil {
				t.Error("it runs twice at once")
			}
			stop()
		})
		if err != nil {
			t.Error(err)
		}
	})
}
