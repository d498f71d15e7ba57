package main

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"crisper/integration/bench/proctree"
	"crisper/integration/harness"
	"crisper/supervisor/ops"
)

// grace of the row in which it is too short, in seconds.
const grace = 3

func processFaults() []fault {
	return []fault{
		{name: "zygote", title: "kill -9 of the zygote", recovery: "kill → next generation ready",
			patience: patience, noStock: "Celery has no zygote",
			setup: workerOf("", "-c", "3", "--max-tasks-per-child", "5"), trial: killZygote},
		{name: "peer", title: "kill -9 of the supervisor, a peer survives", recovery: "kill → last task in its hands started again or recorded",
			patience: patience, setup: peerSetup, trial: killSupervisor},
		{name: "term", title: fmt.Sprintf("TERM, tasks longer than the grace of %d s", grace), recovery: "TERM → exit",
			patience: patience, setup: func(context.Context, *lane) error { return nil }, trial: term(grace)},
	}
}

func treeOf(root int) []int { return proctree.PIDs(root) }

func killZygote(ctx context.Context, l *lane) (*trial, error) {
	t := l.begin()
	if err := t.send(order{20, false, 0.1, 0.1}, order{20, true, 0.1, 0.1}); err != nil {
		return t, err
	}
	if _, err := t.untilRunning(ctx, 3); err != nil {
		return t, err
	}
	old, err := zygote(ctx, l.worker)
	if err != nil {
		return t, err
	}
	l.pause(ctx, 0, 200*time.Millisecond)
	if err := t.kill(ctx, old.PID); err != nil {
		return t, err
	}
	err = l.worker.UntilState(ctx, "the next zygote", func(s ops.State) bool {
		z, ok := ready(s)
		return ok && z.PID != old.PID
	})
	if err != nil {
		return t, err
	}
	t.recovery = time.Since(t.fault)
	if err := t.decide(ctx, patience); err != nil {
		return t, err
	}
	if v := t.verdict; v.Recorded+v.Rerun > 0 {
		t.note = fmt.Sprintf("tasks were cut off: %d recorded, %d run again", v.Recorded, v.Rerun)
	}
	return t, nil
}

func zygote(ctx context.Context, w *harness.Worker) (found ops.ZygoteState, err error) {
	err = w.UntilState(ctx, "a zygote", func(s ops.State) bool {
		var ok bool
		found, ok = ready(s)
		return ok
	})
	return found, err
}

func ready(s ops.State) (ops.ZygoteState, bool) {
	for _, z := range s.Zygotes {
		if z.State == "ready" {
			return z, true
		}
	}
	return ops.ZygoteState{}, false
}

func peerSetup(ctx context.Context, l *lane) (err error) {
	l.peer, err = l.start(ctx, "", "-c", "3")
	return err
}

// killSupervisor ends the victim's first process only: its whole tree is meant to
// die with it. The stock worker's tree is killed with it, as by a node that dies.
func killSupervisor(ctx context.Context, l *lane) (*trial, error) {
	t := l.begin()
	w, err := l.start(ctx, "", "-c", "3")
	if err != nil {
		return t, err
	}
	defer w.End()
	if err := t.send(order{15, false, 0.4, 0.1}, order{15, true, 0.4, 0.1}); err != nil {
		return t, err
	}
	mine := map[string]int{}
	err = t.moment(ctx, "the victim to be busy", func(b *book) bool {
		mine = within(b.running(t.ids()), treeOf(w.PID()))
		return len(mine) >= 2
	})
	if err != nil {
		return t, err
	}
	l.pause(ctx, 0, 200*time.Millisecond)
	if err := l.strike(ctx, t, w); err != nil {
		return t, err
	}
	if err := t.decide(ctx, patience); err != nil {
		return t, err
	}
	for id := range mine {
		t.recovery = max(t.recovery, t.recovered(id))
	}
	return t, nil
}

func within(running map[string]int, pids []int) map[string]int {
	for id, pid := range running {
		inside := false
		for _, p := range pids {
			inside = inside || p == pid
		}
		if !inside {
			delete(running, id)
		}
	}
	return running
}

// strike kills the victim and sees that nothing of it goes on.
func (l *lane) strike(ctx context.Context, t *trial, w *harness.Worker) error {
	tree := treeOf(w.PID())
	if err := t.kill(ctx, w.PID()); err != nil {
		return err
	}
	if l.side == stockSide {
		return w.KillGroup()
	}
	limited, cancel := context.WithTimeout(ctx, l.tree)
	defer cancel()
	if harness.Until(limited, "the victim's tree to die", func() bool { return !anyAlive(tree) }) != nil {
		t.note = fmt.Sprintf("processes outlived their supervisor by %s", l.tree)
	}
	return nil
}

// anyAlive: a zombie that nobody has collected yet is dead.
func anyAlive(pids []int) bool {
	for _, pid := range pids {
		if proctree.Alive(pid) {
			return true
		}
	}
	return false
}

// term is a pod that has to go while its tasks are longer than its grace. The next
// pod starts after it.
func term(grace int) func(context.Context, *lane) (*trial, error) {
	return func(ctx context.Context, l *lane) (*trial, error) { return l.term(ctx, grace) }
}

func (l *lane) term(ctx context.Context, grace int) (*trial, error) {
	t := l.begin()
	if l.worker == nil {
		if err := l.successor(ctx, grace); err != nil {
			return t, err
		}
	}
	if err := t.send(order{2, false, 60, 0.1}, order{2, true, 60, 0.1}); err != nil {
		return t, err
	}
	running, err := t.untilRunning(ctx, 4)
	if err != nil {
		return t, err
	}
	if err := t.send(order{4, false, 0.1, 0.1}, order{4, true, 0.1, 0.1}); err != nil {
		return t, err
	}
	l.pause(ctx, 50*time.Millisecond, 250*time.Millisecond) // some of them are reserved by then
	t.fault = time.Now()
	if err := l.worker.Signal(syscall.SIGTERM); err != nil {
		return t, fmt.Errorf("cannot send TERM: %w", err)
	}
	t.recovery, t.note = l.leave(grace)
	if l.side == stockSide {
		t.forgo(running)
	}
	t.fault = t.fault.Add(t.recovery) // what was cut off was cut off at the end
	if err := l.successor(ctx, grace); err != nil {
		return t, err
	}
	return t, t.decide(ctx, patience)
}

func (l *lane) successor(ctx context.Context, grace int) (err error) {
	l.worker, err = l.start(ctx, "--grace "+strconv.Itoa(grace)+"s", "-c", "4")
	return err
}

// leave waits for the worker until its grace is over, as the kubelet does, and then
// kills it.
func (l *lane) leave(grace int) (time.Duration, string) {
	asked := time.Now()
	limited, cancel := context.WithTimeout(context.Background(), time.Duration(grace)*time.Second+l.tolerance.leave)
	defer cancel()
	_, at, err := l.worker.Wait(limited)
	if err != nil {
		l.worker.End()
		return time.Since(asked), "killed at the end of its grace"
	}
	return at.Sub(asked), ""
}
