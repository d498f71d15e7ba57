package native

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/ledger"
	"crisper/supervisor/ops"
	"crisper/supervisor/pool"
)

// Health is the snapshot that probes are answered from; it never waits.
func (r *Runtime) Health() ops.Health { return *r.loop.health.Load() }

// State asks the loop for a picture of everything.
func (r *Runtime) State(ctx context.Context) (ops.State, error) {
	reply := make(chan ops.State, 1) // the loop never waits for us
	r.loop.post(asked{func(l *loop) { reply <- l.state() }})
	select {
	case s := <-reply:
		return s, nil
	case <-ctx.Done():
		return ops.State{}, fmt.Errorf("cannot get the state in time: %w", ctx.Err())
	case <-r.loop.stopped:
		return ops.State{}, fmt.Errorf("cannot get the state: the worker has left")
	}
}

// Drain begins a warm shutdown, as SIGTERM does.
func (r *Runtime) Drain() { r.loop.post(asked{func(l *loop) { l.drain("request") }}) }

// Reload loads the app again, as SIGHUP does.
func (r *Runtime) Reload() { r.loop.post(asked{func(l *loop) { l.reload() }}) }

// publishHealth renews the snapshot, at most every 100 ms unless something changed.
func (l *loop) publishHealth() {
	old := l.health.Load()
	fresh := ops.Health{
		Started: !l.readyAt.IsZero(), Draining: l.draining, Broker: l.connected,
		LoopAt: l.now, StuckSince: l.stuck,
	}
	if l.now.Sub(old.LoopAt) < 100*time.Millisecond && old.Started == fresh.Started &&
		old.Draining == fresh.Draining && old.Broker == fresh.Broker && old.StuckSince.Equal(fresh.StuckSince) {
		return
	}
	l.health.Store(&fresh)
}

// watchProgress notices when there is work, room and a connection, and yet
// nothing has been started, and the first moment at which the pool is ready.
func (l *loop) watchProgress() {
	if l.readyAt.IsZero() && l.connected && l.anyReady() && l.remote.waits == 0 {
		l.readyAt = l.now
		l.onReady()
	}
	waiting := l.book.Count(ledger.Reserved) > 0 || !l.exhausted
	if !waiting || l.draining || !l.connected || !l.anyIdle() {
		l.stuck = time.Time{}
		return
	}
	if l.stuck.IsZero() {
		l.stuck = l.now
	}
}

func (l *loop) anyReady() bool {
	for _, c := range l.inOrder {
		if c.ready {
			return true
		}
	}
	return false
}

func (l *loop) anyIdle() bool {
	for _, c := range l.inOrder {
		if c.ready && !c.retired && c.idle() {
			return true
		}
	}
	return false
}

// onReady says what scripts wait for, and tells the handlers of worker_ready.
func (l *loop) onReady() {
	l.log.Info(l.info.Hostname+" ready.", zap.String("hostname", l.info.Hostname))
	l.remote.sender.Online(l.now, l.status())
	l.signalPython("worker_ready", nil)
}

// dump writes the state to the log (SIGUSR1).
func (l *loop) dump() {
	js, err := json.MarshalIndent(l.state(), "", "  ")
	if err != nil {
		l.bug("cannot write the state", err)
		return
	}
	fmt.Fprintf(l.deps.Stderr, "%s\n", js)
}

func (l *loop) phase() string {
	switch {
	case l.done:
		return "stopped"
	case l.draining:
		return "draining"
	case l.readyAt.IsZero():
		return "starting"
	}
	return "ready"
}

// state is the whole picture.
func (l *loop) state() ops.State {
	s := ops.State{
		Version: l.deps.Version, Hostname: l.info.Hostname, Runtime: "native", PID: os.Getpid(),
		StartedAt: l.startedAt, Now: l.now, Phase: l.phase(),
		App: l.info.AppName, Python: l.info.Python, Celery: l.info.Celery,
		Broker: l.brokerState, Tasks: l.counts, Cgroup: l.cgroup,
		ReloadError: l.reloadError, Deliveries: l.deliveries(), Queues: map[string]ops.Queue{},
	}
	for name, b := range l.backlog {
		s.Queues[name] = ops.Queue{Ready: b.Ready, Unacked: b.Unacked, Scheduled: b.Scheduled, OldestAgeSeconds: b.OldestAge.Seconds()}
	}
	for _, v := range l.pool.Snapshot(l.now) {
		s.Slots = append(s.Slots, l.slotState(v))
	}
	for _, z := range l.zygotes {
		s.Zygotes = append(s.Zygotes, z.state())
	}
	l.recent.newestFirst(func(r recentTask) { s.Recent = append(s.Recent, r.state()) })
	l.history.newestFirst(func(t ops.TransitionState) { s.Log = append(s.Log, t) })
	return s
}

func (z *zygote) state() ops.ZygoteState {
	state := "loading"
	switch {
	case z.leaving:
		state = "leaving"
	case z.loaded:
		state = "ready"
	}
	return ops.ZygoteState{Generation: int(z.generation), PID: z.proc.PID(), State: state, PreloadSeconds: z.preload}
}

func (l *loop) deliveries() ops.DeliveryCounts {
	return ops.DeliveryCounts{
		Reserved:  l.book.Count(ledger.Reserved) + l.book.Count(ledger.Accepting),
		Scheduled: l.book.Count(ledger.Scheduled),
		Queued:    l.book.Count(ledger.Queued),
		Active:    l.book.Count(ledger.Active),
		Settling:  l.book.Count(ledger.Settling) + l.book.Count(ledger.Reporting),
	}
}

func (l *loop) slotState(v pool.SlotView) ops.SlotState {
	s := ops.SlotState{
		Slot: int(v.Slot), State: v.State.String(), Reason: string(v.Reason), Child: uint64(v.Child),
		PID: v.PID, Generation: int(v.Generation), TasksDone: v.TasksDone,
		AgeSeconds: v.Age.Seconds(), MemoryBytes: l.memory[v.Child],
	}
	c := l.children[v.Child]
	if c == nil {
		return s
	}
	s.Queued = c.waiting
	if sent := l.book.Sent(ledger.Child(c.id)); len(sent) > 0 && sent[0].Place == ledger.Active {
		e := sent[0]
		s.Task = &ops.TaskState{
			ID: e.Delivery.Message.ID, Name: e.Delivery.Message.Task, Queue: e.Delivery.Queue,
			RunningSeconds: l.now.Sub(e.Data.begun).Seconds(),
		}
	}
	return s
}

func (l *loop) logInfoLine(msg string, e *entry) {
	if l.logInfo {
		l.log.Info(msg, zap.String("task_id", e.Delivery.Message.ID))
	}
}
