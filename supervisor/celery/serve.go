package celery

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/ops"
	"crisper/supervisor/pool"
)

// serve starts the probes and the admin socket, which it returns; nil: there is none.
func (l *loop) serve(ctx context.Context) (admin *ops.Admin) {
	if l.cfg.HTTP != "" {
		server := ops.NewServer(ops.Options{Health: l.probed, State: l.state, Gatherer: l.registry,
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
			Drain: func() { l.post(l.drain) }, Reload: func() { l.post(l.reload) }})
		go func() {
			if err := admin.Run(ctx, l.cfg.Socket); err != nil {
				l.log.Error("cannot serve the admin socket", zap.String("path", l.cfg.Socket), zap.Error(err))
			}
		}()
	}
	return admin
}

// publish leaves a snapshot for the probes. Ready is who has a worker that takes
// tasks; whether it is connected its own reconnecting sees to.
func (l *loop) publish() {
	works := false
	for id := range l.children {
		works = works || l.pool.MayTake(id)
	}
	h := &ops.Health{Started: l.started, Draining: l.draining, Broker: true, LoopAt: time.Now(), ReadyText: "ready: a worker takes tasks"}
	if !works {
		h.Started = l.started && l.draining // not ready, whatever was before; never a reason to restart the pod
	}
	l.health.Store(h)
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
		return ops.State{}, errors.New("the worker has ended")
	}
}

func (l *loop) snapshot() ops.State {
	now := time.Now()
	s := ops.State{
		Version: l.deps.Version, Hostname: l.cfg.Hostname, Runtime: "celery", PID: os.Getpid(), StartedAt: l.begun, Now: now,
		Phase: l.phase(), App: l.cfg.App, Python: l.python, Celery: l.celery, Cgroup: l.cgroupState(), Log: l.recent, Orphans: l.reaper.Orphans(),
	}
	s.Tasks.Received = l.accepted
	for _, v := range l.pool.Snapshot(now) {
		slot := ops.SlotState{Slot: int(v.Slot), State: v.State.String(), Reason: string(v.Reason), Child: uint64(v.Child), PID: v.PID,
			Generation: int(v.Generation), TasksDone: v.TasksDone, AgeSeconds: v.Age.Seconds()}
		if c := l.children[v.Child]; c != nil {
			slot.MemoryBytes, slot.Processes = c.memory, c.size
			c.describe(&slot)
		}
		s.Slots = append(s.Slots, slot)
	}
	for _, c := range l.children {
		s.Tasks.Received += int64(c.counts.Accepted)
		s.Deliveries.Active += c.counts.Active
		s.Deliveries.Reserved += c.waiting()
	}
	return s
}

// waiting are the tasks in hand that have not begun.
func (c *child) waiting() int { return max(0, c.counts.Reserved-c.counts.Active) }

// describe adds what the agent says.
func (c *child) describe(slot *ops.SlotState) {
	slot.Queued = c.waiting()
	if slot.State == pool.Ready.String() && c.counts.Active > 0 {
		slot.State = pool.Busy.String()
	}
	if len(c.counts.Tasks) > 0 {
		slot.Task = &ops.TaskState{ID: c.counts.Tasks[0][0], Name: c.counts.Tasks[0][1]}
	}
}

func (l *loop) phase() string {
	switch {
	case l.done:
		return "stopped"
	case l.draining:
		return "draining"
	case l.started:
		return "ready"
	}
	return "starting"
}
