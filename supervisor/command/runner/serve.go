package runner

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"crisper/supervisor/command"
	"crisper/supervisor/ops"
)

// serve starts the probes and the admin socket, which it returns; nil: there is none. That they cannot be served is no
// reason not to run the command: two of them in one pod is a usual case.
func (l *loop) serve(ctx context.Context, gatherer prometheus.Gatherer) (admin *ops.Admin) {
	if l.cfg.HTTP != "" {
		server := ops.NewServer(ops.Options{Health: l.probed, State: l.state, Gatherer: gatherer,
			Listening: func(addr net.Addr) {
				l.log.Info("serving probes, metrics and state", zap.Stringer("address", addr))
			}})
		go func() {
			if err := server.Run(ctx, l.cfg.HTTP); err != nil {
				l.log.Error("cannot serve probes and metrics", zap.String("address", l.cfg.HTTP), zap.Error(err))
			}
		}()
	}
	if l.cfg.Socket != "" {
		admin = ops.NewAdmin(ops.AdminOptions{State: l.state,
			Drain: func() { l.post(func() { l.step(command.DrainRequested{}) }) }})
		go func() {
			if err := admin.Run(ctx, l.cfg.Socket); err != nil {
				l.log.Error("cannot serve the admin socket", zap.String("path", l.cfg.Socket), zap.Error(err))
			}
		}()
	}
	return admin
}

// publish leaves a snapshot for the probes.
func (l *loop) publish() {
	l.health.Store(&ops.Health{
		Started: l.machine.Started(), Draining: l.machine.State() > command.Ready,
		Broker: true, // there is none to be missed
		LoopAt: time.Now(), ReadyText: "ready: the command runs",
	})
}

func (l *loop) probed() ops.Health {
	if h := l.health.Load(); h != nil {
		return *h
	}
	return ops.Health{}
}

// state asks the loop.
func (l *loop) state(ctx context.Context) (ops.State, error) {
	answer := make(chan ops.State, 1) // one answer, also when nobody waits any more
	go l.post(func() { answer <- l.snapshot() })
	select {
	case s := <-answer:
		return s, nil
	case <-ctx.Done():
		return ops.State{}, ctx.Err()
	case <-l.over:
		return ops.State{}, errors.New("the command has ended")
	}
}

// snapshot shows the name of the command and not its arguments, in which people
// write passwords.
func (l *loop) snapshot() ops.State {
	host, _ := os.Hostname()
	s := ops.State{
		Version: l.deps.Version, Hostname: host, Runtime: "exec", PID: os.Getpid(), StartedAt: l.begun, Now: time.Now(),
		Phase: phase(l.machine.State()), App: l.name(), Cgroup: l.cgroupState(), Log: l.recent, Orphans: l.reaper.Orphans(),
	}
	slot := ops.SlotState{State: l.machine.State().String(), PID: l.machine.PID(), Processes: len(l.tree)}
	if !l.startedAt.IsZero() {
		slot.AgeSeconds = time.Since(l.startedAt).Seconds()
	}
	for _, p := range l.tree {
		slot.MemoryBytes += p.Bytes
	}
	s.Slots = []ops.SlotState{slot}
	if l.guest != nil && !l.done {
		l.guest.Describe(&s)
	}
	return s
}

func phase(state command.State) string {
	switch state {
	case command.Waiting, command.Starting:
		return "starting"
	case command.Ready:
		return "ready"
	case command.Over:
		return "stopped"
	}
	return "draining"
}
