package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/agent"
	"crisper/supervisor/native"
	"crisper/supervisor/ops"
	"crisper/supervisor/process"
	"crisper/supervisor/reaper"
)

// Run works as `crisper worker` until it is told to leave. It returns the exit
// code of the process and, when that is not ExitOK, what to tell people.
func Run(ctx context.Context, cfg Config, deps Deps) (exit int, err error) {
	s := &shell{cfg: cfg, deps: deps, log: deps.Log, early: make(chan struct{}, 1)}
	defer func() { s.lastWords(exit, err) }()
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		s.admin.Leave()
		if errors.Is(err, ErrElsewhere) {
			s.background.Wait()
		}
	}()
	s.reap(ctx)
	registry := ops.NewRegistry()
	s.metrics = ops.NewMetrics(registry)
	s.metrics.Build(deps.Version)
	s.serve(ctx, registry)
	return s.work(ctx)
}

// shell is what Run carries from one step to the next.
type shell struct {
	cfg     Config
	deps    Deps
	log     *zap.Logger
	reaper  *reaper.Reaper
	metrics *ops.Metrics
	// runtime is set once the app is loaded; probes look at it.
	runtime atomic.Pointer[native.Runtime]
	// early is told of a drain that is asked for before there is a runtime. Capacity
	// 1: once is enough.
	early chan struct{}
	// admin is the control socket; nil: there is none.
	admin *ops.Admin
	// background are the reaper, the probes and the admin socket. Their end is waited
	// for only when somebody else takes over here: leaving must not take longer.
	background sync.WaitGroup
}

// reap makes us the parent of all that our children leave behind.
func (s *shell) reap(ctx context.Context) {
	s.reaper = reaper.New(s.log)
	if err := reaper.BecomeSubreaper(); err != nil {
		s.log.Warn("cannot become a subreaper; orphans of tasks go to PID 1", zap.Error(err))
	}
	s.background.Go(func() {
		if err := s.reaper.Run(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("the reaper ended", zap.Error(err))
		}
	})
}

// work loads the app, builds the runtime and runs it.
func (s *shell) work(ctx context.Context) (int, error) {
	python, err := agent.FindPython(s.cfg.Python, os.Environ())
	if err != nil {
		return ExitUsage, err
	}
	dir, cleanup, err := agent.Unpack("")
	if err != nil {
		return ExitFailure, err
	}
	defer cleanup()
	launch := s.launcher(python, dir)
	first, err := launch(ctx, 1)
	if err != nil {
		return ExitApp, err
	}
	info, exit, err := s.load(ctx, first)
	if err != nil || exit != ExitOK {
		return exit, err
	}
	if info == nil {
		return ExitOK, nil // told to leave while loading
	}
	return s.run(ctx, launch, first, *info)
}

// launcher starts zygotes with the reaper's knowledge.
func (s *shell) launcher(python, dir string) native.Launcher {
	return func(ctx context.Context, generation int) (native.Zygote, error) {
		return agent.Launch(ctx, agent.LaunchConfig{
			Python: python, Dir: dir, Options: s.cfg.Agent, Env: os.Environ(),
			Stdout: os.Stdout, Stderr: s.deps.Stderr, Generation: generation, Starter: s.reaper,
		})
	}
}

// load waits for the first zygote; a signal ends the wait. A nil Info with
// ExitOK means that we were told to leave.
func (s *shell) load(ctx context.Context, z native.Zygote) (*agent.Info, int, error) {
	for {
		select {
		case <-ctx.Done():
			z.Quit()
			return nil, ExitOK, nil
		case <-s.early:
			s.log.Warn("told to leave while the app was loading")
			z.Quit()
			return nil, ExitOK, nil
		case sig := <-s.deps.Signals:
			if sig == syscall.SIGHUP || sig == syscall.SIGUSR1 {
				continue
			}
			s.log.Warn("told to leave while the app was loading", zap.Stringer("signal", sig))
			z.Quit()
			return nil, ExitOK, nil
		case ev, ok := <-z.Events():
			if !ok {
				return nil, ExitApp, errors.New("cannot load the app: the zygote left without a word")
			}
			if info, exit, err, over := s.loading(ev); over {
				return info, exit, err
			}
		}
	}
}

func (s *shell) loading(ev agent.ZygoteEvent) (info *agent.Info, exit int, err error, over bool) {
	switch e := ev.(type) {
	case agent.LoadedEvent:
		return &e.Info, ExitOK, nil, true
	case agent.FailedEvent:
		if e.Usage {
			return nil, ExitUsage, fmt.Errorf("cannot load the app: %w", e.Err), true
		}
		return nil, ExitApp, fmt.Errorf("cannot load the app: %w", e.Err), true
	case agent.ExitedEvent:
		return nil, ExitApp, fmt.Errorf("cannot load the app: the Python process left (%s) before it was done", e.Status), true
	case agent.NoticeEvent:
		s.log.Warn(e.Message)
	}
	return nil, 0, nil, false
}

// run builds the runtime around the loaded app.
func (s *shell) run(ctx context.Context, launch native.Launcher, first native.Zygote, info agent.Info) (int, error) {
	if err := s.judge(info); err != nil {
		s.dismiss(first)
		return ExitUsage, err
	}
	cfg, err := resolve(s.cfg, info)
	if err != nil {
		first.Quit()
		return ExitUsage, err
	}
	beModest(max(cfg.Pool.Slots, cfg.AutoscaleMax))
	consumer, err := s.deps.OpenBroker(info, workerID(info.Hostname), s.log)
	if err != nil {
		first.Quit()
		return ExitUsage, err
	}
	s.log.Info("loaded", zap.String("app", info.AppName), zap.String("runtime", "native"), zap.String("hostname", info.Hostname),
		zap.String("celery", info.Celery), zap.String("python", info.Python), zap.Int("tasks", len(info.Tasks)),
		zap.Int("slots", cfg.Pool.Slots), zap.Float64("preload_seconds", info.PreloadSeconds), zap.Int("pid", os.Getpid()))
	cgroup, err := process.OpenCgroup("/proc", "/sys/fs/cgroup")
	if err != nil {
		s.log.Info("no memory cgroup to watch", zap.Error(err))
	}
	rt, err := native.New(cfg, native.Deps{
		Log: s.log, Metrics: s.metrics, Reaper: s.reaper, Cgroup: cgroup, Broker: consumer, Launch: launch, Judge: s.judgeAgain,
		Signals: s.deps.Signals, Now: time.Now, Jitter: rand.Float64, Stderr: s.deps.Stderr, Version: s.deps.Version,
		ExitChildren: ExitChildren, ExitBroker: ExitBroker, Trim: process.Trim,
	}, first, info)
	if err != nil {
		first.Quit()
		return ExitUsage, err
	}
	s.runtime.Store(rt)
	exit, why := rt.Run(ctx)
	if why != "" {
		return exit, errors.New(why)
	}
	return exit, nil
}

func (s *shell) judge(info agent.Info) error {
	if s.deps.Judge == nil {
		return Natively(info)
	}
	return s.deps.Judge(info)
}

func (s *shell) judgeAgain(info agent.Info) error {
	if s.deps.JudgeAgain == nil {
		return Natively(info)
	}
	return s.deps.JudgeAgain(info)
}

// dismiss waits for the end of a zygote that has nothing to do: who takes over in
// this process must not find it among its own children.
func (s *shell) dismiss(z native.Zygote) {
	z.Quit()
	for range z.Events() {
		// Until it has exited; it is in its loop and leaves at once.
	}
}

// workerID names this process among its peers: the random part keeps a pod that
// was killed and restarted in place from taking itself for alive.
func workerID(hostname string) string {
	return fmt.Sprintf("%s.%d.%08x", hostname, os.Getpid(), rand.Uint32())
}

// lastWords go to the termination message, where `kubectl describe` shows them.
func (s *shell) lastWords(exit int, err error) {
	if exit == ExitOK || s.cfg.TerminationLog == "" || errors.Is(err, ErrElsewhere) {
		return
	}
	text := fmt.Sprintf("crisper: exit code %d", exit)
	if err != nil {
		text += ": " + err.Error()
	}
	process.TerminationMessage(s.cfg.TerminationLog, text)
}
