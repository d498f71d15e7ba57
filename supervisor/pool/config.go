package pool

import (
	"errors"
	"fmt"
	"time"
)

// Config says how the pool behaves. Validate reports all its problems at once.
type Config struct {
	Slots int
	// Surge is how many children more than Slots may live while one is replaced.
	Surge int
	// MaxTasks recycles a child after so many tasks; 0: never. A child never runs more.
	MaxTasks int
	// MaxMemory recycles a child whose private memory (bytes) is above it between
	// tasks; MemoryKill ends it during a task. 0: never.
	MaxMemory, MemoryKill int64
	// MaxAge recycles an idle child older than this; a busy one after its task.
	MaxAge time.Duration
	// Jitter spreads MaxTasks, MaxMemory and MaxAge per child by up to this part
	// downwards (0.1: between 90 % and 100 %), so that slots do not recycle together.
	Jitter float64
	// StartTimeout is how long a child may take from fork to ready.
	StartTimeout time.Duration
	// StopTimeout is how long an idle child may take to leave before SIGTERM;
	// KillGrace is how long after SIGTERM before SIGKILL.
	StopTimeout, KillGrace time.Duration
	// HardLimitGrace is the same for a hard time limit (Celery: 0.1 s).
	HardLimitGrace time.Duration
	// CutoffGrace is the same for what still lives at the drain's deadline. It is
	// short: after the deadline, results are still to be settled.
	CutoffGrace time.Duration
	// BackoffMin doubles up to BackoffMax with each start in a row that failed;
	// after GiveUpAfter of nothing but failures the pool gives up.
	BackoffMin, BackoffMax, GiveUpAfter time.Duration
	// GuardSoft and GuardHard are parts of the cgroup's limit: above the first,
	// prefetch pauses and the fattest idle child is recycled; above the second
	// the fattest busy one is killed. 0: off.
	GuardSoft, GuardHard float64
	// GuardPause is the least time between two victims of the guard, so that the
	// kernel can return the memory before it is measured again.
	GuardPause time.Duration
}

// Defaults returns the documented defaults for n slots.
func Defaults(n int) Config {
	return Config{
		Slots: n, Surge: 1, Jitter: 0.1,
		StartTimeout: 60 * time.Second,
		StopTimeout:  10 * time.Second, KillGrace: 5 * time.Second,
		HardLimitGrace: 100 * time.Millisecond, CutoffGrace: 500 * time.Millisecond,
		BackoffMin: 100 * time.Millisecond, BackoffMax: 10 * time.Second, GiveUpAfter: 60 * time.Second,
		GuardSoft: 0.85, GuardHard: 0.95, GuardPause: time.Second,
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
	bad(c.Slots < 0, "slots: %d is less than 0", c.Slots)
	bad(c.Surge < 0, "surge: %d is less than 0", c.Surge)
	bad(c.MaxTasks < 0, "max tasks: %d is less than 0", c.MaxTasks)
	bad(c.MaxMemory < 0, "max memory: %d is less than 0", c.MaxMemory)
	bad(c.MemoryKill < 0, "memory kill: %d is less than 0", c.MemoryKill)
	bad(c.MaxMemory > 0 && c.MemoryKill > 0 && c.MemoryKill < c.MaxMemory,
		"memory kill (%d) is below max memory (%d): every child would be killed before it could be recycled", c.MemoryKill, c.MaxMemory)
	bad(c.MaxAge < 0, "max age: %s is less than 0", c.MaxAge)
	bad(c.Jitter < 0 || c.Jitter >= 1, "jitter: %g is not in [0,1)", c.Jitter)
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"start timeout", c.StartTimeout}, {"stop timeout", c.StopTimeout}, {"kill grace", c.KillGrace},
		{"hard limit grace", c.HardLimitGrace}, {"cutoff grace", c.CutoffGrace},
		{"backoff min", c.BackoffMin}, {"backoff max", c.BackoffMax},
	} {
		bad(d.value <= 0, "%s: %s is not above 0", d.name, d.value)
	}
	bad(c.BackoffMax < c.BackoffMin, "backoff max (%s) is below backoff min (%s)", c.BackoffMax, c.BackoffMin)
	bad(c.GiveUpAfter < 0, "give up after: %s is less than 0", c.GiveUpAfter)
	bad(c.GiveUpAfter > 0 && c.GiveUpAfter < c.BackoffMin,
		"give up after (%s) is below backoff min (%s): no start would be tried twice", c.GiveUpAfter, c.BackoffMin)
	bad(c.GuardPause < 0, "guard pause: %s is less than 0", c.GuardPause)
	bad(c.GuardSoft < 0 || c.GuardSoft > 1, "guard soft: %g is not in [0,1]", c.GuardSoft)
	bad(c.GuardHard < 0 || c.GuardHard > 1, "guard hard: %g is not in [0,1]", c.GuardHard)
	bad(c.GuardSoft > 0 && c.GuardHard > 0 && c.GuardHard <= c.GuardSoft,
		"guard hard (%g) is not above guard soft (%g)", c.GuardHard, c.GuardSoft)
	return errors.Join(errs...)
}
