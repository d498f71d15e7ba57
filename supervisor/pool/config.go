package pool

import "time"

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
		HardLimitGrace: 100 * time.Millisecond,
		BackoffMin:     100 * time.Millisecond, BackoffMax: 10 * time.Second, GiveUpAfter: 60 * time.Second,
		GuardSoft: 0.85, GuardHard: 0.95, GuardPause: time.Second,
	}
}
