package native

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/agent"
	"crisper/supervisor/ledger"
	"crisper/supervisor/ops"
	"crisper/supervisor/pool"
	"crisper/supervisor/process"
	"crisper/supervisor/reaper"
)

// Config is what the loop was told; the app has been asked already.
type Config struct {
	Pool pool.Config
	// AutoscaleMax and AutoscaleMin are 0 when off; Keepalive is how long work must be
	// scarce before a slot goes (Celery's AUTOSCALE_KEEPALIVE).
	AutoscaleMax, AutoscaleMin int
	Keepalive                  time.Duration
	// PrefetchMultiplier: 0 is unlimited.
	PrefetchMultiplier int
	DisablePrefetch    bool
	// ETALimit is worker_eta_task_limit: while a message waits for its ETA no more than
	// this many are held unacknowledged; 0: no limit.
	ETALimit int
	// RevokesMax and RevokeExpires bound what is remembered of revoked tasks; 0: Celery's
	// defaults.
	RevokesMax    int
	RevokeExpires time.Duration
	// SoftLimit and HardLimit are the worker's defaults, 0 for none.
	SoftLimit, HardLimit time.Duration
	PoisonLimit          int
	Grace, GraceMargin   time.Duration
	OnCutoff             string // "fail" or "requeue"
	OOMScoreAdj          int
	// Depth is how many short tasks may lie ready in one executor's socket.
	Depth int
	// Results asks executors for result reprs even when no events are sent.
	Results bool
	Remote  RemoteConfig
	// StuckAfter is for Health: work, room and a connection, and yet nothing starts.
	StuckAfter time.Duration
	// WatchMemory: children are measured because a limit depends on it.
	WatchMemory bool
	// Purge discards all waiting messages before the first Take.
	Purge bool
}

// Deps is the edge, for tests to replace.
type Deps struct {
	Log     *zap.Logger
	Metrics *ops.Metrics
	Reaper  Reaper
	Cgroup  *process.Cgroup // nil when unreadable
	Broker  broker.Consumer
	Launch  Launcher
	// Judge looks at an app that was loaded again; its error is why the one that runs
	// goes on. Nil: every app is taken.
	Judge   func(info agent.Info) error
	Signals <-chan os.Signal
	Now     func() time.Time
	// Halt stops a process and waits until it stands still; nil: for real.
	Halt   func(pid int, patience time.Duration) error
	Jitter func() float64
	// Trim gives memory that is not needed back to the kernel; nil: keep it.
	Trim    func()
	Stderr  interface{ Write([]byte) (int, error) }
	Version string
	// Exit codes of the process, from the one table in package supervisor.
	ExitChildren, ExitBroker int
	// OnBug is called for internal errors (tests fail on them); may be nil.
	OnBug func(what string, err error)
}

// Reaper watches and signals the processes that the zygotes fork (package reaper).
type Reaper interface {
	// Watch calls fn once with the exit status, also when pid has exited already.
	Watch(pid int, fn func(reaper.Status))
	// Signal fails for a pid that has been reaped, so that no other process is hit.
	Signal(pid int, sig syscall.Signal) error
}

// Zygote is one preloaded generation of the app (agent.Zygote).
type Zygote interface {
	Events() <-chan agent.ZygoteEvent
	Fork(req agent.ForkRequest, sock, page *os.File) error
	Quit() error
	PID() int
}

// Launcher starts a zygote of a generation.
type Launcher func(ctx context.Context, generation int) (Zygote, error)

// Runtime is a native worker. Run may be called once.
type Runtime struct{ loop *loop }

// New prepares a runtime around a zygote that has loaded the app.
func New(cfg Config, deps Deps, first Zygote, info agent.Info) (*Runtime, error) {
	p, err := pool.New(cfg.Pool, deps.Jitter)
	if err != nil {
		return nil, err
	}
	now := deps.Now()
	l := &loop{
		cfg: cfg, deps: deps, log: deps.Log, metrics: deps.Metrics, broker: deps.Broker,
		events:    make(chan event, 1024),
		toTaker:   make(chan takeRequest, 1),
		toSettler: make(chan []settlement, 1),
		stopped:   make(chan struct{}),
		now:       now, startedAt: now, progress: now,
		pool: p, book: ledger.New[task](),
		kinds:    make(map[string]*taskKind),
		children: make(map[pool.ChildID]*child),
		zygotes:  make(map[pool.Generation]*zygote),
		memory:   make(map[pool.ChildID]int64),
		meter:    process.NewMeter(),
		slots:    cfg.Pool.Slots,
		scale:    autoscale{min: cfg.AutoscaleMin, max: cfg.AutoscaleMax, keepalive: cfg.Keepalive, lastUp: now},
		recent:   newRing[recentTask](50),
		history:  newRing[ops.TransitionState](200),
		logInfo:  deps.Log.Core().Enabled(zap.InfoLevel),
	}
	if deps.Cgroup != nil {
		l.podMemory, _ = deps.Cgroup.Usage() // so that an early death can be explained; errors show later
		l.podBefore = l.podMemory
	}
	l.remote = newRemote(cfg.Remote, deps.Broker, info)
	if deps.Halt == nil {
		l.deps.Halt = l.halt
	}
	l.health.Store(&ops.Health{LoopAt: now})
	l.newest = 1
	l.adopt(1, first)
	z := l.zygotes[1]
	z.loaded, z.preload = true, info.PreloadSeconds
	l.generation = 1
	l.setInfo(info)
	kept, found, err := loadState(cfg.Remote.StateDB)
	if err = errors.Join(err, mayKeep(cfg.Remote.StateDB)); err != nil {
		return nil, err
	}
	l.recall(kept)
	l.remote.stateFound = found
	return &Runtime{loop: l}, nil
}

// setInfo takes over what the app says of itself.
func (l *loop) setInfo(info agent.Info) {
	l.info, l.allEarly, l.heralding = info, allStartEarly(info), info.Receivers[signalReceived] > 0
	fresh := make(map[string]*taskKind, len(info.Tasks))
	for name, attr := range info.Tasks {
		k := l.kinds[name]
		if k == nil {
			k = &taskKind{name: name}
		}
		k.attr, k.events = consumerTask(attr), attr.SendEvents
		l.setRate(k, l.appRate(name, attr.RateLimit))
		fresh[name] = k
	}
	l.kinds = fresh
	l.consumer = newConsumer(l.cfg, info, l.consumer)
}

// Run works until it has drained, and returns the exit code of the process and
// what to say about it when that is not 0.
func (r *Runtime) Run(ctx context.Context) (exit int, why string) {
	l := r.loop
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.ctx = background
	l.goes(func() { l.taker(background) })
	l.goes(func() { l.settler(background) })
	l.goes(func() { l.publisher(background) })
	l.listenToControl()
	l.goes(func() { l.followSignals(background) })
	l.goes(func() {
		for ev := range l.broker.Events() {
			l.post(brokerSaid{ev})
		}
	})
	l.goes(func() { l.post(brokerEnded{l.broker.Run(background)}) })
	l.now = l.deps.Now()
	l.step(pool.Opened{})
	l.step(pool.GenerationReady{Generation: 1})
	l.importState()
	l.forkSteward()
	l.run(ctx)
	l.close(cancel)
	return l.exit, l.exitWhy
}

// close ends what still runs, in an order that loses nothing: our presence at
// the broker last, when all verdicts have been confirmed.
func (l *loop) close(cancel context.CancelFunc) {
	l.leaving = true
	l.farewell()
	l.lastSave()
	call, done := context.WithTimeout(l.ctx, 2*time.Second)
	if err := l.broker.Close(call); err != nil {
		l.log.Warn("cannot give up our presence at the broker", zap.Error(err))
	}
	done()
	for _, c := range l.children {
		l.closeChild(c) // an executor whose socket ends leaves by itself
	}
	if s := l.steward; s != nil {
		s.link.Close()
		s.page.Close()
	}
	// A zygote that is busy importing does not listen: it is not waited for long.
	impatience := time.AfterFunc(zygotePatience, l.killZygotes(slices.Collect(maps.Values(l.zygotes))))
	defer impatience.Stop()
	for _, z := range l.zygotes {
		z.proc.Quit()
	}
	if l.spill != nil {
		l.spill.Close()
	}
	cancel()
	close(l.stopped)
	l.work.Wait()
}

// zygotePatience is how long a zygote may take to leave at the end.
const zygotePatience = time.Second

func (l *loop) killZygotes(all []*zygote) func() {
	return func() {
		for _, z := range all {
			_ = l.deps.Reaper.Signal(z.proc.PID(), sigkill) // gone already: all the better
		}
	}
}

func (l *loop) followSignals(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-l.deps.Signals:
			l.post(signalled{s})
		}
	}
}
