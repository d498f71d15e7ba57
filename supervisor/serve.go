package supervisor

import (
	"context"
	"net"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"crisper/supervisor/ops"
)

// serve starts the probes and the admin socket; they answer from the first
// moment, so that a startup probe sees us loading.
func (s *shell) serve(ctx context.Context, gatherer prometheus.Gatherer) {
	if s.cfg.HTTP != "" {
		server := ops.NewServer(ops.Options{Health: s.health, State: s.state, Gatherer: gatherer, StuckAfter: s.cfg.StuckAfter,
			Fresh:     (&freshBacklog{shell: s}).measure,
			Listening: func(addr net.Addr) { s.log.Info("serving probes, metrics and state", zap.Stringer("address", addr)) }})
		s.background.Go(func() {
			if err := server.Run(ctx, s.cfg.HTTP); err != nil {
				s.log.Error("cannot serve probes and metrics", zap.String("address", s.cfg.HTTP), zap.Error(err))
			}
		})
	}
	if s.cfg.Socket != "" {
		s.admin = ops.NewAdmin(ops.AdminOptions{State: s.state, Drain: s.drain, Reload: s.reload})
		s.background.Go(func() {
			if err := s.admin.Run(ctx, s.cfg.Socket); err != nil {
				s.log.Error("cannot serve the admin socket", zap.String("path", s.cfg.Socket), zap.Error(err))
			}
		})
	}
}

func (s *shell) health() ops.Health {
	if rt := s.runtime.Load(); rt != nil {
		return rt.Health()
	}
	return ops.Health{}
}

func (s *shell) state(ctx context.Context) (ops.State, error) {
	if rt := s.runtime.Load(); rt != nil {
		return rt.State(ctx)
	}
	return ops.State{Phase: "starting", Version: s.deps.Version, PID: os.Getpid()}, nil
}

func (s *shell) drain() {
	if rt := s.runtime.Load(); rt != nil {
		rt.Drain()
		return
	}
	select {
	case s.early <- struct{}{}:
	default: // asked already
	}
}

func (s *shell) reload() {
	if rt := s.runtime.Load(); rt != nil {
		rt.Reload()
	}
}

// backlogAge is for how long a measurement of the queues is good enough.
const backlogAge = 5 * time.Second

// freshBacklog measures the queues when somebody looks: an idle worker whose
// figures nobody reads asks the broker for none.
type freshBacklog struct {
	shell *shell
	mu    sync.Mutex // one measurement at a time; guards at
	at    time.Time
}

func (f *freshBacklog) measure(ctx context.Context) {
	rt := f.shell.runtime.Load()
	if rt == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) < backlogAge {
		return
	}
	if _, err := rt.Backlog(ctx); err != nil {
		f.shell.log.Debug("cannot measure the backlog", zap.Error(err))
		return
	}
	f.at = time.Now()
}
