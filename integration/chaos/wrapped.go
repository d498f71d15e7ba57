package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"crisper/integration/bench/proctree"
	"crisper/integration/harness"
	"crisper/supervisor/ops"
)

// wrappedSide is `crisper worker --runtime=celery`; besideSide is Celery's own worker
// under the faults of that table.
const wrappedSide, besideSide = "crisper runtime celery", "celery beside it"

// lateOnly is the promise of a row in which a whole Celery worker dies together with what
// looks after it: an early-acknowledged task that ran in it is gone, as Celery has it,
// because nobody is left who knows of it.
const lateOnly = "late acknowledgment"

// noneLost is the promise where only the worker dies or is cut off: an early task that ran
// in it is recorded as failed. Celery may have begun one and not acknowledged it yet, and
// then it is begun a second time.
const noneLost = "late acknowledgment, and no early one lost"

// wrappedGrace is so long that an app can load before what runs is cut off: what becomes
// of it is recorded by a process that has loaded the app.
const wrappedGrace = 10

// wrappedFaults are those of the celery runtime. Its child is a whole Celery worker,
// its grandchild a process of that worker's pool.
func wrappedFaults() []fault {
	slow := 2 * patience // Celery needs seconds to start
	return []fault{
		{name: "worker", title: "kill -9 of a busy Celery worker (the child)", recovery: "kill → last late task that ran there started again",
			promise: noneLost, patience: slow, setup: workerOf("--children 2", "-c", "3"), trial: killCeleryWorker},
		{name: "pool-early", title: "kill -9 of a busy pool process (the grandchild), early acknowledgment", recovery: "kill → failure recorded",
			patience: patience, setup: workerOf("", "-c", "3"), trial: killChild(false)},
		{name: "pool-late", title: "kill -9 of a busy pool process, late acknowledgment", recovery: "kill → started again",
			patience: patience, setup: workerOf("", "-c", "3"), trial: killChild(true)},
		{name: "container", title: fmt.Sprintf("kill -9 of everything at once, a peer survives, visibility timeout %d s", visibility), recovery: "kill → last late task in its hands started again",
			promise: lateOnly, patience: slow, setup: containerSetup, trial: killContainer},
		{name: "oom", title: "kernel's OOM kill in a memory cgroup, siblings at work", recovery: "OOM kill → failure recorded",
			patience: patience, setup: oomSetup, trial: oom},
		{name: "term", title: fmt.Sprintf("TERM, tasks longer than the grace of %d s", wrappedGrace), recovery: "TERM → exit",
			promise: noneLost, brief: true, patience: slow, setup: func(context.Context, *lane) error { return nil }, trial: term(wrappedGrace)},
		{name: "redis-restart", title: "redis-server killed and started again under load", recovery: "redis back → first task started",
			needs: needs{durable: true, wire: true}, patience: slow, setup: workerOf("", "-c", "3"), trial: restartRedis},
		{name: "half-open", title: "connections to redis half-open for some seconds under load", recovery: "route back → first task started",
			needs: needs{proxy: true, wire: true}, patience: slow, setup: workerOf("", "-c", "3"), trial: halfOpen},
	}
}

// broken is how many tasks were lost or doubled in spite of its promise.
func (r row) broken(v verdict) int {
	switch r.Promise {
	case lateOnly:
		return v.LostLate + v.DoubledLate
	case noneLost:
		return v.Lost + v.DoubledLate
	}
	return v.Lost + v.Doubled
}

// killCeleryWorker ends one of two workers and, as a container would be, what belongs
// to a stock one, which somebody then has to start again.
func killCeleryWorker(ctx context.Context, l *lane) (*trial, error) {
	t := l.begin()
	if err := t.send(order{4, false, 1, 0.05}, order{8, true, 1, 0.05}); err != nil {
		return t, err
	}
	running, err := t.untilRunning(ctx, 3)
	if err != nil {
		return t, err
	}
	l.pause(ctx, 0, 100*time.Millisecond)
	victim, err := l.busyWorker(ctx, running)
	if err != nil {
		return t, err
	}
	mine := within(running, treeOf(victim))
	if err := t.kill(ctx, victim); err != nil {
		return t, err
	}
	if l.side == stockSide {
		t.forgo(mine)
		l.worker.End()
		if l.worker, err = l.start(ctx, "", "-c", "3"); err != nil {
			return t, err
		}
	}
	if err := t.decide(ctx, 2*patience); err != nil {
		return t, err
	}
	t.lastOf(mine)
	if l.side == wrappedSide {
		return t, l.seated(ctx, victim)
	}
	return t, nil
}

// busyWorker is the first process of a Celery worker that runs one of these tasks.
func (l *lane) busyWorker(ctx context.Context, running map[string]int) (int, error) {
	if l.side == stockSide {
		return l.worker.PID(), nil
	}
	s, err := l.worker.State(ctx)
	if err != nil {
		return 0, err
	}
	for _, slot := range s.Slots {
		for _, pid := range running {
			if slices.Contains(treeOf(slot.PID), pid) {
				return slot.PID, nil
			}
		}
	}
	return 0, fmt.Errorf("no worker of %d runs any of %d tasks", len(s.Slots), len(running))
}

// seated waits until every seat is taken again, and nothing of the victim lives.
func (l *lane) seated(ctx context.Context, victim int) error {
	return l.worker.UntilState(ctx, "another worker in the victim's place", func(s ops.State) bool {
		for _, slot := range s.Slots {
			if slot.PID == victim || slot.State != "ready" && slot.State != "busy" {
				return false
			}
		}
		return !proctree.Alive(victim)
	})
}

// forgo does not wait for those of these that were acknowledged before they ran.
func (t *trial) forgo(mine map[string]int) {
	t.forgone = map[string]bool{}
	for _, s := range t.sent {
		if _, ran := mine[s.id]; ran && !s.late {
			t.forgone[s.id] = true
		}
	}
}

// lastOf measures until the last of these late-acknowledged tasks was started again.
func (t *trial) lastOf(mine map[string]int) {
	for _, s := range t.sent {
		if _, ran := mine[s.id]; ran && s.late {
			t.recovery = max(t.recovery, t.recovered(s.id))
		}
	}
}

// visibility is short: when nobody is left who knows what a container held, its
// messages come back as Celery has it. The default is an hour.
const visibility = 10

func containerSetup(ctx context.Context, l *lane) error {
	l.app.Transport = map[string]any{"visibility_timeout": visibility}
	return peerSetup(ctx, l)
}

// killContainer ends everything of one worker at once, as a node that dies does; the
// peer is another container of the same kind.
func killContainer(ctx context.Context, l *lane) (*trial, error) {
	t := l.begin()
	w, err := l.start(ctx, "", "-c", "3")
	if err != nil {
		return t, err
	}
	defer w.End()
	if err := t.send(order{10, false, 0.6, 0.1}, order{10, true, 0.6, 0.1}); err != nil {
		return t, err
	}
	mine := map[string]int{}
	err = t.until(ctx, "the victim to be busy", func(b *book) bool {
		mine = within(b.running(t.ids()), treeOf(w.PID()))
		return len(mine) >= 2
	})
	if err != nil {
		return t, err
	}
	l.pause(ctx, 0, 200*time.Millisecond)
	tree := treeOf(w.PID())
	if err := t.kill(ctx, w.PID()); err != nil {
		return t, err
	}
	killAll(tree)
	t.forgo(mine)
	// An idle Celery worker looks for what is too old every hundred seconds.
	if err := t.decide(ctx, 3*patience); err != nil {
		return t, err
	}
	t.lastOf(mine)
	return t, nil
}

// startWrapped is lane.start of the celery runtime.
func (l *lane) startWrapped(own string, args []string) (*harness.Worker, error) {
	name := fmt.Sprintf("-n worker%d@%%h --runtime=celery ", l.random.IntN(1<<30))
	return l.bed.StartCrisperIn(l.cgroup, l.app, append(args, strings.Fields(name+own)...)...)
}

func killAll(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have gone already
	}
}
