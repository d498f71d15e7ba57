package command

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Policy says who pays when memory runs out.
type Policy string

// The policies.
const (
	Fattest Policy = "fattest" // the process of the tree that has most
	Whole   Policy = "command" // the command
)

// Config says how a command is treated.
type Config struct {
	// Name of the command, for people.
	Name string
	// StopSignal is what the command gets for our TERM.
	StopSignal syscall.Signal
	// PreStopDelay is how long after TERM it gets it. Readiness is false meanwhile, so
	// that endpoints stop sending requests first.
	PreStopDelay time.Duration
	// Grace bounds the drain; 0: wait for ever. Margin is kept at its end for killing.
	Grace, Margin time.Duration
	// KillGrace lies between SIGTERM and SIGKILL for memory and for what the command
	// left behind; CutoffGrace is the same when somebody is in a hurry.
	KillGrace, CutoffGrace time.Duration
	// SweepEvery is how often we look whether what was told to end has ended; SweepFor
	// is how long after SIGKILL.
	SweepEvery, SweepFor time.Duration
	// MemoryLimit is for the whole tree, in bytes; 0: none.
	MemoryLimit  int64
	MemoryAction Policy
	// GuardSoft and GuardHard are parts of the cgroup's limit; 0: off.
	GuardSoft, GuardHard float64
	// GuardPause is the least time between two victims.
	GuardPause time.Duration
}

// Defaults returns the documented defaults.
func Defaults(name string) Config {
	return Config{
		Name: name, StopSignal: syscall.SIGTERM,
		KillGrace: 5 * time.Second, CutoffGrace: 500 * time.Millisecond,
		SweepEvery: 20 * time.Millisecond, SweepFor: 2 * time.Second,
		MemoryAction: Fattest, GuardSoft: 0.85, GuardHard: 0.95, GuardPause: time.Second,
	}
}

// Validate reports all that is wrong, or nil.
func (c Config) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.StopSignal <= 0, "stop signal: %d is no signal", int(c.StopSignal))
	bad(c.PreStopDelay < 0, "pre-stop delay: %s is less than 0", c.PreStopDelay)
	bad(c.Grace < 0, "grace: %s is less than 0", c.Grace)
	bad(c.Grace > 0 && c.Margin >= c.Grace, "a margin of %s does not fit into a grace of %s", c.Margin, c.Grace)
	bad(c.Grace > 0 && c.PreStopDelay >= c.Grace-c.Margin,
		"a pre-stop delay of %s leaves nothing of a grace of %s: the command would be killed before it is told to leave", c.PreStopDelay, c.Grace)
	bad(c.KillGrace <= 0 || c.CutoffGrace <= 0, "kill grace and cutoff grace have to be above 0")
	bad(c.SweepEvery <= 0 || c.SweepFor <= 0, "the times of a sweep have to be above 0")
	bad(c.MemoryLimit < 0, "memory limit: %d is less than 0", c.MemoryLimit)
	bad(c.MemoryAction != Fattest && c.MemoryAction != Whole, "memory action: %q is neither %s nor %s", c.MemoryAction, Fattest, Whole)
	bad(c.GuardSoft < 0 || c.GuardSoft > 1 || c.GuardHard < 0 || c.GuardHard > 1, "guards are parts between 0 and 1")
	bad(c.GuardSoft > 0 && c.GuardHard > 0 && c.GuardHard <= c.GuardSoft,
		"guard hard (%g) is not above guard soft (%g)", c.GuardHard, c.GuardSoft)
	return errors.Join(errs...)
}
