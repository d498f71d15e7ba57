package command

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEverythingWrongWithAConfigurationIsToldAtOnce(t *testing.T) {
	cfg := Defaults("app")
	cfg.StopSignal, cfg.Grace, cfg.Margin, cfg.MemoryAction, cfg.GuardSoft = 0, time.Second, 2*time.Second, "nobody", 0.99
	_, err := New(cfg)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"stop signal", "margin", "memory action", "guard hard"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in: %v", part, err)
		}
	}
	if err := Defaults("app").Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestADelayMustFitIntoTheGrace(t *testing.T) {
	cfg := Defaults("app")
	cfg.Grace, cfg.Margin, cfg.PreStopDelay = 10*time.Second, time.Second, 9*time.Second
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "pre-stop delay of 9s") {
		t.Errorf("got %v", err)
	}
	cfg.Grace = 0 // for ever: everything fits
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

// world is a command and its descendants, as random scenarios need them.
type world struct {
	t        *testing.T
	machine  *Machine
	now      time.Time
	rand     *rand.Rand
	running  bool
	strays   int
	sweeping bool // a Sweep is unanswered
	left     bool
	named    bool // what is left behind was named
	terms    int  // stop signals that the command was sent
	history  []string
}

func TestRandomScenariosKeepTheInvariants(t *testing.T) {
	for seed := range uint64(3000) {
		w := &world{t: t, now: time.Unix(0, 0), rand: rand.New(rand.NewPCG(seed, 7))}
		cfg := Defaults("app")
		if w.rand.IntN(2) == 0 {
			cfg.Grace, cfg.Margin = 10*time.Second, time.Second
		}
		cfg.PreStopDelay = time.Duration(w.rand.IntN(3)) * time.Second
		cfg.MemoryLimit = 500 << 20
		w.machine, _ = New(cfg)
		w.step(Opened{})
		for range 60 {
			w.turn()
			if t.Failed() {
				t.Fatalf("seed %d:\n%s", seed, strings.Join(w.history, "\n"))
			}
		}
	}
}

func (w *world) turn() {
	switch n := w.rand.IntN(20); {
	case n < 2:
		w.step(Signalled{[]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP}[w.rand.IntN(4)]})
	case n == 2:
		w.step([]Event{DrainRequested{}, Deaf{}}[w.rand.IntN(2)])
	case n == 3:
		w.step(Measured{Tree: []Process{{PID: 10, Bytes: int64(w.rand.IntN(600)) << 20}}, Current: int64(w.rand.IntN(100)), Limit: 100})
	case n == 4 && w.running:
		w.running, w.strays = false, w.rand.IntN(3)
		w.step(Exited{Code: w.rand.IntN(4), Text: "exit status"})
	case n < 8 && w.strays > 0:
		w.strays--
	case n < 14 && w.sweeping:
		w.sweeping = false
		alive := w.strays
		if w.running {
			alive++
		}
		w.step(Swept{Alive: alive})
	default:
		w.now = w.now.Add(time.Duration(w.rand.IntN(2000)) * time.Millisecond)
		w.do(w.machine.Tick(w.now, nil))
		if at := w.machine.NextWake(); !at.IsZero() && !at.After(w.now) {
			w.t.Error("Tick does not get past its deadline")
		}
	}
}

func (w *world) step(ev Event) {
	w.history = append(w.history, fmt.Sprintf("%s %#v", w.now.Sub(time.Unix(0, 0)), ev))
	w.do(w.machine.Step(w.now, ev, nil))
}

func (w *world) do(acts []Action) {
	for _, act := range acts {
		w.history = append(w.history, "    "+render(act))
		if w.left {
			w.t.Error("an action after Leave")
		}
		switch a := act.(type) {
		case Start:
			w.running = true
			defer w.step(Started{PID: 10})
		case Forward:
			w.terms++
			if !w.running {
				w.t.Error("a signal for a command that does not run")
			}
		case Sweep:
			w.sweeping = true
			w.judge(a.Signal)
		case Warn:
			w.named = w.named || strings.HasSuffix(a.Message, "is left behind")
		case Leave:
			w.left = true
			if (w.running || w.strays > 0) && !w.named {
				w.t.Error("somebody was left behind in silence")
			}
		}
	}
}

// judge: nobody is killed who was not told to leave, but for the pod's memory.
func (w *world) judge(sig syscall.Signal) {
	if sig == syscall.SIGKILL && w.running && w.terms == 0 && !w.machine.guard.ended {
		w.t.Error("SIGKILL without a stop signal before it")
	}
}
