package main

import (
	"context"
	"fmt"
	"time"
)

func brokerFaults() []fault {
	return []fault{
		{name: "redis-restart", title: "redis-server killed and started again under load", recovery: "redis back → first task started",
			needs: needs{durable: true}, patience: 2 * patience, setup: workerOf("", "-c", "3"), trial: restartRedis},
		{name: "half-open", title: "connections to redis half-open for some seconds under load", recovery: "route back → first task started",
			needs: needs{proxy: true}, patience: 2 * patience, setup: workerOf("", "-c", "3"), trial: halfOpen},
		{name: "frozen", title: "the connections to redis hang for ever, new ones work, under load", recovery: "freeze → first task started on a new connection",
			patience: 2 * patience, setup: frozenSetup, trial: frozen},
	}
}

// load sends more than the fault can stop in the middle of, and waits until some of it
// has been done.
func (l *lane) load(ctx context.Context) (*trial, error) {
	t := l.begin()
	if err := t.send(order{30, false, 0.05, 0.05}, order{30, true, 0.05, 0.05}); err != nil {
		return t, err
	}
	wanted := 5 + l.random.IntN(20)
	return t, t.until(ctx, fmt.Sprintf("%d tasks to end", wanted), func(*book) bool { return t.endedCount() >= wanted })
}

// restartRedis alternates at random between kill -9 and an orderly stop.
func restartRedis(ctx context.Context, l *lane) (*trial, error) {
	t, err := l.load(ctx)
	if err != nil {
		return t, err
	}
	t.fault = time.Now()
	if l.random.IntN(2) == 0 {
		l.broker.Kill()
	} else if err := l.broker.Stop(ctx); err != nil {
		return t, err
	}
	l.pause(ctx, 300*time.Millisecond, 2*time.Second)
	if err := l.broker.Start(ctx); err != nil {
		return t, err
	}
	return t, t.back(ctx)
}

func halfOpen(ctx context.Context, l *lane) (*trial, error) {
	t, err := l.load(ctx)
	if err != nil {
		return t, err
	}
	t.fault = time.Now()
	if err := l.proxy.HalfOpen(); err != nil {
		return t, err
	}
	l.pause(ctx, 2*time.Second, 8*time.Second)
	if err := l.proxy.Heal(ctx); err != nil {
		return t, err
	}
	return t, t.back(ctx)
}

// back measures from now until work goes on, and judges.
func (t *trial) back(ctx context.Context) error {
	healed := time.Now()
	if err := t.decide(ctx, 2*patience); err != nil {
		return err
	}
	if first, ok := t.lane.book.firstStartAfter(healed, t.ids(), nil); ok {
		t.recovery = first.Sub(healed)
	}
	return nil
}

// frozenSetup puts the freezer between the worker and the broker.
func frozenSetup(ctx context.Context, l *lane) error {
	f, err := newFreezer(l.broker.Addr())
	if err != nil {
		return err
	}
	l.bed.OnClose(f.close)
	l.freezer, l.app.Broker = f, f.url()
	return workerOf("", "-c", "3")(ctx, l)
}

// frozen waits a second before it looks for progress: tasks that had been confirmed
// may still begin right after the freeze.
func frozen(ctx context.Context, l *lane) (*trial, error) {
	t, err := l.load(ctx)
	if err != nil {
		return t, err
	}
	l.freezer.freeze()
	t.fault = time.Now()
	if err := t.decide(ctx, 2*patience); err != nil {
		return t, err
	}
	if first, ok := l.book.firstStartAfter(t.fault.Add(time.Second), t.ids(), nil); ok {
		t.recovery = first.Sub(t.fault)
	}
	return t, nil
}
