package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"crisper/integration/bench/load"
	"crisper/integration/bench/proctree"
)

const (
	// turn is how long one of them is measured at a time.
	turn = 400 * time.Millisecond
	// warmUp are the tasks that a turn begins with, and that are not measured.
	warmUp = 20
	// fastest is more than a worker of Celery's own does, in tasks per second.
	fastest = 2500
)

// turns are those of each worker in a round.
func (s size) turns() int { return max(s.Tasks/100, 2) }

// taker is a worker that takes turns.
type taker struct {
	worker *worker
	tasks  int
	took   time.Duration
	used   usage
}

// turns measures how fast workers are of which one works at a time, in short turns, and the
// others are stopped (SIGSTOP): where a machine is faster in one second than in the next by
// more than what is to be found, those who work one after the other for seconds cannot be
// compared. All of them take from one queue.
func turns(ctx context.Context, b *bench, sides []side) (values [][]float64, err error) {
	if err := b.clean(ctx); err != nil {
		return nil, err
	}
	n := b.size.turns()
	if err := b.publish(ctx, "noop", load.Messages(int(float64((n+2)*len(sides)*fastest)*turn.Seconds()))); err != nil {
		return nil, err
	}
	takers := make([]*taker, len(sides))
	for i, s := range sides {
		w, err := s.start(b, b.app(b.bed.Path("notes")), "-c", "2")
		if err != nil {
			return nil, err
		}
		defer stop(w)
		takers[i] = &taker{worker: w}
		defer takers[i].signal(syscall.SIGCONT)
	}
	for i := range n + 1 {
		order := slices.Clone(takers)
		if i%2 == 1 {
			slices.Reverse(order)
		}
		if err := inTurn(ctx, b, order); err != nil {
			return nil, err
		}
		if i == 0 { // they have just been started
			for _, t := range takers {
				*t = taker{worker: t.worker}
			}
		}
	}
	for _, t := range takers {
		values = append(values, append([]float64{float64(t.tasks) / t.took.Seconds()}, t.used.per(float64(t.tasks))...))
	}
	return values, nil
}

func inTurn(ctx context.Context, b *bench, takers []*taker) error {
	for _, t := range takers {
		t.signal(syscall.SIGSTOP)
	}
	for _, t := range takers {
		if err := t.turn(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// turn is one of a worker's. A queue that runs dry would leave a message with one that is
// stopped, and the rest to nobody.
func (t *taker) turn(ctx context.Context, b *bench) error {
	t.signal(syscall.SIGCONT)
	defer t.signal(syscall.SIGSTOP)
	if err := b.counter.until(ctx, b.counter.sum()+warmUp); err != nil {
		return err
	}
	cpu, begun, before := b.spent(t.worker), time.Now(), b.counter.sum()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(turn):
	}
	tasks, took := b.counter.sum()-before, time.Since(begun)
	used := b.spent(t.worker).since(cpu)
	if left, err := b.redis.Client.LLen(ctx, queue).Result(); err != nil || left == 0 {
		return fmt.Errorf("the queue ran dry within a turn (%v)", err)
	}
	t.tasks, t.took = t.tasks+tasks, t.took+took
	for i := range used {
		t.used[i] += used[i]
	}
	return nil
}

// signal sends a signal to a whole worker. Whoever has left meanwhile is found out by what
// comes next.
func (t *taker) signal(s syscall.Signal) {
	for _, pid := range proctree.PIDs(t.worker.PID()) {
		_ = syscall.Kill(pid, s)
	}
}
