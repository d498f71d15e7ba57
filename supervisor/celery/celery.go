package celery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"crisper/supervisor/agent"
	"crisper/supervisor/celery/hang"
	"crisper/supervisor/ops"
	"crisper/supervisor/pool"
	"crisper/supervisor/process"
	"crisper/supervisor/reaper"
)

// Config is everything that this runtime was told.
type Config struct {
	// Python is the interpreter; empty: found by agent.FindPython.
	Python string
	// Global and Worker are the arguments before and after the word worker.
	Global, Worker []string
	// Command is how a worker is started, as somebody else wrote it (crisper exec); without
	// a Path it is made of Python, Global and Worker.
	Command Command
	// App and Hostname are for people and for node names ("celery@host").
	App, Hostname string
	// Pool has Slots children; its StopTimeout and CutoffGrace are set by Run.
	Pool pool.Config
	Care
	// Grace bounds the drain, 0: for ever; Margin is kept at its end.
	Grace, Margin time.Duration
	// HTTP, Socket and TerminationLog are as in supervisor.Config.
	HTTP, Socket, TerminationLog string
	OOMScoreAdj                  int
}

// Deps is what the outside gives to Run.
type Deps struct {
	Log                   *zap.Logger
	Signals               <-chan os.Signal
	Stdin, Stdout, Stderr *os.File
	Version               string
	// The exit codes of the program.
	ExitUsage, ExitFailure, ExitChildren int
}

// forEver is the deadline of a worker that is replaced: its tasks are not cut.
const forEver = 10 * 365 * 24 * time.Hour

// Run works until it is told to leave. It returns the exit code of the process
// and, when that is not 0, why.
func Run(ctx context.Context, cfg Config, deps Deps) (exit int, err error) {
	defer func() {
		if err != nil {
			process.TerminationMessage(cfg.TerminationLog, fmt.Sprintf("crisper: exit code %d: %v", exit, err))
		}
	}()
	cfg.Pool.StopTimeout = forEver
	cfg.Pool.CutoffGrace = max(500*time.Millisecond, cfg.Margin/2)
	seats, err := pool.New(cfg.Pool, rand.Float64)
	if err != nil {
		return deps.ExitUsage, err
	}
	if cfg.Command.Path == "" {
		if cfg.Command, err = cfg.module(); err != nil {
			return deps.ExitUsage, err
		}
		cfg.Python = cfg.Command.Path
	}
	dir, cleanup, err := unpack()
	if err != nil {
		return deps.ExitFailure, err
	}
	defer cleanup()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := newLoop(cfg, deps, seats, dir)
	defer l.closeKeepers()
	launch, forget := launcher(agent.RecorderConfig{Env: unbuffered(os.Environ()), Stdout: deps.Stdout, Stderr: deps.Stderr, Starter: l.reaper}, cfg.Python)
	l.records = newRecorder(deps.Log, launch)
	defer forget()
	var end context.CancelFunc
	// A drain that is asked for by ctx still needs the broker.
	l.life, end = context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	l.reap(ctx)
	defer l.serve(ctx).Leave()
	return l.run(ctx)
}

func newLoop(cfg Config, deps Deps, seats *pool.Pool, dir string) *loop {
	registry := ops.NewRegistry()
	l := &loop{
		cfg: cfg, deps: deps, pool: seats, dir: dir, registry: registry, warden: newWarden(cfg.Care, deps.Log, ops.NewMetrics(registry)),
		reaper: reaper.New(deps.Log), meter: process.NewTreeMeter(), begun: time.Now(),
		env: injected(os.Environ(), dir),
		// The senders are goroutines of ours, which wait; the loop is never slow.
		events: make(chan func(), 64), over: make(chan struct{}),
	}
	l.post, l.ready, l.counted = l.into, l.becomesReady, l.onCounts
	l.hung = func(c *child, h hang.Hung) {
		l.step(pool.ChildHung{Child: c.id, Deaf: h.Deaf, Detail: h.Detail})
	}
	l.metrics.Build(deps.Version)
	if group, err := process.OpenCgroup("", ""); err == nil {
		l.cgroup = group
		l.memory, _ = group.Usage() // a zero Memory is one that is not known
		l.recall.Note(time.Now(), l.memory)
	}
	return l
}

// loop owns the pool. Everything below is touched by its goroutine only, but for
// events, over, health and what never changes.
type loop struct {
	cfg  Config
	deps Deps
	*warden
	pool     *pool.Pool
	dir      string
	env      []string
	registry *prometheus.Registry
	reaper   *reaper.Reaper
	meter    *process.Meter // by one measurement at a time
	cgroup   *process.Cgroup
	begun    time.Time

	events chan func()
	over   chan struct{} // closed when the loop has ended
	health atomic.Pointer[ops.Health]

	told       time.Time // to leave, the first time
	cutAt      time.Time // when what runs then is cut off; zero: never
	ahead      bool      // a clerk was asked for, because of that
	patience   time.Time // how long what dead workers held is waited for at the end
	recordable time.Time // the same of what became of their tasks
	generation pool.Generation
	measuring  bool
	measured   time.Time
	memory     process.Memory // the newest
	recall     process.Recall
	recent     []ops.TransitionState
	accepted   int64 // by children that are gone
	started    bool  // some child was ready once
	draining   bool
	ints       int
	signalled  bool // by TERM or INT
	impossible int  // events that the pool could not believe
	done       bool
	exit       int
	why        error
}

func (l *loop) reap(ctx context.Context) {
	if err := reaper.BecomeSubreaper(); err != nil {
		l.log.Warn("cannot become a subreaper; orphans of workers go to PID 1", zap.Error(err))
	}
	go func() {
		if err := l.reaper.Run(ctx); err != nil && ctx.Err() == nil {
			l.log.Error("the reaper ended", zap.Error(err))
		}
	}()
}
