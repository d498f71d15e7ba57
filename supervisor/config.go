package supervisor

import (
	"time"

	"crisper/supervisor/agent"
	"crisper/supervisor/pool"
)

// Config is everything `crisper worker` was told, by flags and environment,
// before the app has been asked. What the app knows better (queues, task
// attributes, settings) comes later, in agent.Info.
type Config struct {
	// Python is the interpreter; empty: found by agent.FindPython.
	Python string
	// Agent is passed to the zygote.
	Agent agent.Options
	// Concurrency is 0 when not given on the command line: then the app's.
	Concurrency int
	// Autoscale is 0,0 when off.
	AutoscaleMax, AutoscaleMin int
	// Keepalive is AUTOSCALE_KEEPALIVE, RevokesMax and RevokeExpires are
	// CELERY_WORKER_REVOKES_MAX and …_REVOKE_EXPIRES; 0: Celery's defaults.
	Keepalive     time.Duration
	RevokesMax    int
	RevokeExpires time.Duration
	// PrefetchMultiplier is -1 when not given; DisablePrefetch as Celery's.
	PrefetchMultiplier int
	DisablePrefetch    bool
	// TimeLimit and SoftTimeLimit are 0 when not given.
	TimeLimit, SoftTimeLimit time.Duration
	// Pool has what concerns children; Slots is filled in later. MaxTasks and
	// MaxMemory are 0 when not given on the command line: then the app's.
	Pool pool.Config
	// PoisonLimit parks a message after so many dead children; 0: never.
	PoisonLimit int
	// Grace bounds the drain; 0: wait for ever (Celery's warm shutdown).
	// GraceMargin is kept at its end for settling and leaving.
	Grace, GraceMargin time.Duration
	// OnCutoff is what becomes of early-acknowledged tasks that are still running
	// when the grace ends: "fail" or "requeue".
	OnCutoff string
	// HTTP is the address of the probes and metrics; empty: off. Socket is the path of
	// the admin socket; empty: off.
	HTTP, Socket string
	// StuckAfter is how long nothing may be started, with work, room and a
	// connection, before /livez fails; 0: ops.DefaultStuckAfter.
	StuckAfter time.Duration
	// TerminationLog is where the last words go (/dev/termination-log).
	TerminationLog string
	// OOMScoreAdj of children.
	OOMScoreAdj int
	// Depth is how many short tasks may lie ready in one executor's socket.
	Depth int
	// Purge: discard all waiting messages first.
	Purge bool
}
