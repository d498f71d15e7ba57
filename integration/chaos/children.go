package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"crisper/integration/harness"
)

func childFaults() []fault {
	return []fault{
		{name: "child-early", title: "kill -9 of a busy child, early acknowledgment", recovery: "kill → failure recorded",
			patience: patience, setup: workerOf("", "-c", "3"), trial: killChild(false)},
		{name: "child-late", title: "kill -9 of a busy child, late acknowledgment", recovery: "kill → started again",
			patience: patience, setup: workerOf("", "-c", "3"), trial: killChild(true)},
		{name: "child-reserved", title: "kill -9 of a busy child with short tasks lying ready behind it", recovery: "kill → first task in a new child",
			patience: patience, setup: workerOf("", "-c", "3"), trial: killReserved},
		{name: "oom", title: "kernel's OOM kill in a memory cgroup, siblings at work", recovery: "OOM kill → failure recorded",
			patience: patience, setup: oomSetup, trial: oom},
	}
}

// killChild ends a child in the middle of its task, with tasks running beside it and
// waiting behind.
func killChild(late bool) func(context.Context, *lane) (*trial, error) {
	return func(ctx context.Context, l *lane) (*trial, error) {
		t := l.begin()
		if err := t.send(order{7, late, 0.4, 0.05}, order{2, !late, 0.2, 0.2}); err != nil {
			return t, err
		}
		running, err := t.untilRunning(ctx, 3)
		if err != nil {
			return t, err
		}
		l.pause(ctx, 0, 100*time.Millisecond)
		victim, pid := l.anyOf(running)
		if err := t.kill(ctx, pid); err != nil {
			return t, err
		}
		if err := t.decide(ctx, patience); err != nil {
			return t, err
		}
		t.recovery = t.recovered(victim)
		return t, nil
	}
}

// kill is kill -9 of one process, and the moment of the fault. Results that are
// stored by then are noted as such.
func (t *trial) kill(ctx context.Context, pid int) error {
	if err := t.lane.book.ask(ctx, t.ids()); err != nil {
		return err
	}
	t.fault = time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot kill process %d: %w", pid, err)
	}
	return t.askBroker(ctx)
}

// askBroker notes which of the tasks the broker still has: unacknowledged, or already
// back in the queue.
func (t *trial) askBroker(ctx context.Context) error {
	var unacked, waiting *redis.StringSliceCmd
	_, err := t.lane.broker.Client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		unacked, waiting = p.HVals(ctx, "unacked"), p.LRange(ctx, queue, 0, -1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot ask the broker what it has: %w", err)
	}
	t.held = map[string]bool{}
	all := strings.Join(append(unacked.Val(), waiting.Val()...), "\n")
	for _, s := range t.sent {
		t.held[s.id] = strings.Contains(all, s.id)
	}
	return nil
}

// recovered is the time from the fault until this task was started again or recorded
// as failed; negative if it was not cut off.
func (t *trial) recovered(id string) time.Duration {
	for _, r := range t.lane.book.runs[id] {
		if r.start.After(t.fault) {
			return r.start.Sub(t.fault)
		}
	}
	if t.lane.book.failed(id) {
		return t.lane.book.records[id].at.Sub(t.fault)
	}
	return -1
}

// killReserved strikes while children have several short tasks in their sockets.
func killReserved(ctx context.Context, l *lane) (*trial, error) {
	t := l.begin()
	ids, err := l.client.Bulk(harness.Task{Name: "chaosapp.early", Args: []any{0.003, 0.003}}, 400)
	if err != nil {
		return t, err
	}
	for _, id := range ids {
		t.sent = append(t.sent, sent{id: id})
	}
	var running map[string]int
	err = t.moment(ctx, "a fifth of the tasks to have run", func(b *book) bool {
		running = b.running(ids)
		return len(b.runs) > 0 && t.endedCount() > 80 && len(running) > 0
	})
	if err != nil {
		return t, err
	}
	seen := l.book.pids()
	_, pid := l.anyOf(running)
	if err := t.kill(ctx, pid); err != nil {
		return t, err
	}
	if err := t.decide(ctx, patience); err != nil {
		return t, err
	}
	if first, ok := l.book.firstStartAfter(t.fault, ids, seen); ok {
		t.recovery = first.Sub(t.fault)
	}
	return t, nil
}

func (t *trial) endedCount() int {
	n := 0
	for _, s := range t.sent {
		if t.lane.book.ended(s.id) {
			n++
		}
	}
	return n
}

// oomLimit holds the worker and its siblings, and is soon full.
const oomLimit = 400 << 20

// oomSetup switches our own guard off: the row is about the kernel's kill.
func oomSetup(ctx context.Context, l *lane) error {
	group, err := l.bed.MakeCgroup(oomLimit)
	if err != nil {
		return fmt.Errorf("cannot make a memory cgroup (root and a cgroup file system are needed): %w", err)
	}
	l.cgroup = group
	l.worker, err = l.start(ctx, "--guard-soft 0 --guard-hard 0", "-c", "3")
	if err == nil && l.side == stockSide {
		err = join(group, l.worker.PID())
	}
	return err
}

// join puts the processes of a running stock worker into the group.
func join(group *harness.Cgroup, root int) error {
	for _, pid := range treeOf(root) {
		if err := os.WriteFile(group.Dir+"/cgroup.procs", fmt.Append(nil, pid), 0o644); err != nil {
			return fmt.Errorf("cannot put process %d into the cgroup: %w", pid, err)
		}
	}
	return nil
}

func oom(ctx context.Context, l *lane) (*trial, error) {
	t := l.begin()
	before, err := l.cgroup.OOMKills()
	if err != nil {
		return t, err
	}
	if err := t.send(order{3, false, 0.5, 0.5}, order{3, true, 0.5, 0.5}); err != nil {
		return t, err
	}
	eater, err := l.client.Send(harness.Task{Name: "chaosapp.eat", Args: []any{}})
	if err != nil {
		return t, err
	}
	t.sent = append(t.sent, sent{id: eater})
	err = t.until(ctx, "the kernel to kill for memory", func(*book) bool {
		n, err := l.cgroup.OOMKills()
		return err == nil && n > before
	})
	if err != nil {
		return t, err
	}
	t.fault = time.Now()
	if err := t.decide(ctx, patience); err != nil {
		return t, err
	}
	t.recovery = t.recovered(eater)
	// Fine is: the eater recorded, and nobody else hurt.
	if t.verdict.Recorded != 1 || t.verdict.Rerun != 0 {
		t.note = fmt.Sprintf("siblings were hurt: %d recorded, %d run again", t.verdict.Recorded-1, t.verdict.Rerun)
	}
	return t, nil
}
