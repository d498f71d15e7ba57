package leader

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"crisper/beat"
	"crisper/beat/ops"
	"crisper/beat/planner"
	admin "crisper/supervisor/ops"
)

// board is what pages show beside what the loop is asked for.
type board struct {
	mu     sync.Mutex
	last   []ops.Sent // newest last
	broker ops.Broker
}

// lastKept is how many sent ticks the state shows, nextShown how many to come.
const (
	lastKept  = 50
	nextShown = 50
)

func (s *service) noteTick(b beat.Publication, task string, outcome beat.Outcome, at time.Time, late time.Duration) {
	name := [...]string{beat.Published: "published", beat.Already: "already", beat.Unroutable: "unroutable"}[outcome]
	s.metrics.Tick(name, late)
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	if len(s.board.last) == 2*lastKept {
		s.board.last = append(s.board.last[:0], s.board.last[lastKept:]...)
	}
	s.board.last = append(s.board.last, ops.Sent{
		Entry: b.Tick.Entry, Task: task, Due: b.Tick.Due.UTC(), SentAt: at.UTC(), LateSeconds: late.Seconds(), TaskID: b.Message.TaskID,
		Outcome: name, Count: b.Tick.Count,
	})
}

func (s *service) brokerAway(err error) {
	s.metrics.BrokerConnected(false)
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	s.board.broker = ops.Broker{Server: s.server(), Error: err.Error()}
}

func (s *service) brokerThere() {
	s.metrics.BrokerConnected(true)
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	if s.board.broker.Connected = true; s.board.broker.Error != "" || s.board.broker.Server == "" {
		s.board.broker = ops.Broker{Server: s.server(), Connected: true}
	}
}

// server names the broker without password.
func (s *service) server() string {
	if p, ok := s.site.Publisher.(interface{ Server() string }); ok {
		return p.Server()
	}
	return ""
}

// serve starts the probes and the admin socket, which it returns; nil: there is none.
func (s *service) serve(ctx context.Context) *admin.Admin {
	if s.cfg.HTTP != "" {
		server := ops.NewServer(ops.Options{Health: s.health, State: s.state, Gatherer: s.metrics.Registry()})
		go func() {
			err := server.Run(ctx, s.cfg.HTTP, func(address string) {
				s.log.Info("serving probes, metrics and state", zap.String("address", address))
			})
			if err != nil {
				s.log.Error("cannot serve probes and metrics", zap.String("address", s.cfg.HTTP), zap.Error(err))
			}
		}()
	}
	if s.cfg.Socket == "" {
		return nil
	}
	socket := admin.NewAdmin(admin.AdminOptions{
		State: s.adminState, Drain: func() { s.leave("drain") }, Reload: func() { s.reload("the admin socket") },
	})
	go func() {
		if err := socket.Run(ctx, s.cfg.Socket); err != nil {
			s.log.Error("cannot serve the admin socket", zap.String("path", s.cfg.Socket), zap.Error(err))
		}
	}()
	return socket
}

func (s *service) health() ops.Health {
	now, _ := s.apps.current()
	h := ops.Health{
		LoopAt: time.Unix(0, s.loopAt.Load()), Loaded: now.generation > 0, Campaigning: s.campaigning.Load(), Stopping: s.stopping.Load(),
		Term: s.termHealth.Load(),
	}
	if h.Campaigning {
		status := s.elector.Status()
		h.Leading, h.Token, h.Leader = status.State == "leading", status.Token, status.Leader
		h.Cold = s.child != nil && !s.child.Ready()
	}
	return h
}

// state is what /state shows.
func (s *service) state(ctx context.Context) (ops.State, error) {
	st := s.plainState()
	t := s.term.Load()
	if t == nil {
		return st, nil
	}
	answer := make(chan []planner.Status, 1) // one answer, also when nobody waits any more
	go t.post(func() { answer <- t.status() })
	select {
	case all := <-answer:
		st.Next = upcoming(all, t.service.tasks())
	case <-t.done:
	case <-ctx.Done():
		return st, errors.New("the loop does not answer")
	}
	return st, nil
}

// tasks are the task names of the entries.
func (s *service) tasks() map[string]string {
	now, _ := s.apps.current()
	names := make(map[string]string, len(now.entries))
	for _, e := range now.entries {
		names[e.Name] = e.Task
	}
	return names
}

func upcoming(all []planner.Status, tasks map[string]string) []ops.Coming {
	var next []ops.Coming
	for _, st := range all[:min(len(all), nextShown)] {
		if st.Next.IsZero() {
			break
		}
		next = append(next, ops.Coming{Entry: st.Entry, Task: tasks[st.Entry], Due: st.Next.UTC()})
	}
	return next
}

// manyEntries are so many that sorting them for each reader of a page would delay
// ticks.
const manyEntries = 5000

// status lists the entries of both lanes by their next due moments.
func (t *term) status() []planner.Status {
	if len(t.plan.entries) > manyEntries && time.Since(t.cachedAt) < 10*time.Second {
		return t.cached
	}
	all := append(t.own.planner.Status(), t.asked.planner.Status()...)
	slices.SortStableFunc(all, func(a, b planner.Status) int {
		if a.Next.IsZero() != b.Next.IsZero() {
			return b.Next.Compare(a.Next)
		}
		return a.Next.Compare(b.Next)
	})
	t.cached, t.cachedAt = all[:min(len(all), nextShown)], time.Now()
	return t.cached
}

func (s *service) plainState() ops.State {
	now, trouble := s.apps.current()
	st := ops.State{
		Version: s.deps.Version, Runtime: "beat", PID: os.Getpid(), StartedAt: s.begun.UTC(), Now: time.Now().UTC(), Phase: s.phase(),
		App: s.cfg.App.App, Python: now.info.Python, Celery: now.info.Celery, Schedule: s.site.Schedule, CelerySchedule: s.why,
		ClockAheadSeconds: s.clock.skew().Seconds(), Counts: s.metrics.Counts(),
	}
	st.Hostname, _ = os.Hostname()
	if trouble != nil {
		st.AppError = trouble.Error()
	}
	st.Entries, st.Invalid = count(now)
	if s.campaigning.Load() {
		status := s.elector.Status()
		st.Leader, st.Term = status.State == "leading", status.Token
		st.Lease, st.Holder, st.LedBy = s.site.Backend.String(), s.elector.Holder(), status.Leader
		if status.Trouble != nil {
			st.ElectionError = status.Trouble.Error()
		}
	}
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	st.Broker = s.board.broker
	for i := len(s.board.last) - 1; i >= max(0, len(s.board.last)-lastKept); i-- {
		st.Last = append(st.Last, s.board.last[i])
	}
	return st
}

func (s *service) phase() string {
	switch {
	case s.stopping.Load():
		return "stopping"
	case !s.campaigning.Load():
		return "starting"
	}
	return s.elector.Status().State
}

func count(now loaded) (n ops.Entries, invalid []ops.Invalid) {
	n = ops.Entries{Total: len(now.entries), Asked: len(now.plan.asked), Invalid: len(now.plan.invalid)}
	for _, e := range now.entries {
		if why, wrong := now.plan.invalid[e.Name]; wrong {
			invalid = append(invalid, ops.Invalid{Entry: e.Name, Task: e.Task, Error: why})
		}
	}
	return n, invalid
}

// adminState is the state in the frame that `crisper state` reads.
func (s *service) adminState(ctx context.Context) (admin.State, error) {
	st, err := s.state(ctx)
	if err != nil {
		return admin.State{}, err
	}
	return admin.State{
		Version: st.Version, Hostname: st.Hostname, Runtime: "beat", PID: st.PID, StartedAt: st.StartedAt, Now: st.Now, Phase: st.Phase,
		App: st.App, Python: st.Python, Celery: st.Celery, Beat: st,
	}, nil
}
