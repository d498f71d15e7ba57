package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"crisper/beat/lease"
	"crisper/integration/bench/proctree"
)

// fault is one row of the table.
type fault struct {
	name, title string
	recovery    string        // what the take-over time of this row is
	limit       time.Duration // promised; 0: none
	skews       []int         // seconds, of the replicas' clocks
	ownPlane    bool          // it breaks the API server for all: it has one of its own
	api         bool          // it is about the API server
	mayDouble   bool          // where the broker cannot be asked (RabbitMQ)
	named       bool          // and only what a successor has named as in doubt
	do          func(ctx context.Context, t *trial) error
}

// The promises of the issue: another leads soon after the Lease ran out, or was given back.
const (
	afterDeath = lease.DefaultLeaseDuration + 2*time.Second
	afterTerm  = time.Second
)

func faults() []fault {
	const next = "→ first message of another"
	return []fault{
		{name: "kill", title: "kill -9 of the leader, replaced later", recovery: "kill " + next, limit: afterDeath, mayDouble: true, named: true, do: kill},
		{name: "in-place", title: "the leader's container killed and started again at once", recovery: "kill " + next,
			limit: afterDeath, mayDouble: true, named: true, do: restartInPlace},
		{name: "term", title: "TERM of the leader, with a replacement (rolling)", recovery: "TERM " + next, limit: afterTerm, do: roll},
		{name: "stop", title: "the leader stopped for longer than the Lease, then continued", recovery: "stop " + next,
			limit: afterDeath, mayDouble: true, named: true, do: freeze},
		{name: "api-cut", title: "API server unreachable for the leader only", recovery: "cut " + next, limit: afterDeath, api: true, mayDouble: true, named: true, do: cutOff},
		{name: "broker", title: "the broker away for some seconds", recovery: "broker back → first message", mayDouble: true, do: breakBroker},
		{name: "clock", title: "TERM, the clocks of two of three wrong by +1 h and −1 h", recovery: "TERM " + next, limit: afterTerm,
			skews: []int{0, 3600, -3600}, do: roll},
		{name: "api-restart", title: "API server killed and started again", recovery: "API server back → first message", api: true, ownPlane: true, do: restartAPI},
	}
}

// skipped says why a row makes no sense here.
func (f fault) skipped(g *ground) string {
	switch {
	case f.api && g.plane == nil:
		return "no API server takes part"
	case len(f.skews) > 0 && g.broker == onRabbitMQ && g.plane == nil:
		return "there is no clock that the replicas share"
	}
	return ""
}

// another waits for a message of another process, and takes the time.
func (t *trial) another(ctx context.Context) error {
	var first arrival
	err := until(ctx, "messages of another replica", func() (found bool) {
		first, found = t.set.book.after(t.fault, func(a arrival) bool { return a.origin != t.origin })
		return found
	})
	t.took = first.at.Sub(t.fault)
	return err
}

// any does the same for a message of anybody, that came after a moment.
func (t *trial) any(ctx context.Context, since time.Time) error {
	var first arrival
	err := until(ctx, "messages", func() (found bool) {
		first, found = t.set.book.after(since, func(arrival) bool { return true })
		return found
	})
	t.took = first.at.Sub(since)
	return err
}

// kill ends the leader's first process only. Its Python must go with it.
func kill(ctx context.Context, t *trial) error {
	tree := t.leader.tree()
	t.fault = time.Now()
	if err := t.leader.process.Kill(); err != nil {
		return fmt.Errorf("cannot kill the leader: %w", err)
	}
	if err := t.another(ctx); err != nil {
		return err
	}
	for _, pid := range tree {
		if proctree.Alive(pid) {
			t.note = "a process outlived its beat"
		}
	}
	t.leader.process.End()
	return t.leader.start()
}

// restartInPlace kills the whole container.
func restartInPlace(ctx context.Context, t *trial) error {
	t.fault = time.Now()
	t.leader.process.End()
	if err := t.leader.start(); err != nil {
		return err
	}
	return t.another(ctx)
}

// roll is a rolling update of one replica: it is told to go, and the next one starts.
func roll(ctx context.Context, t *trial) error {
	old := *t.leader
	t.fault = time.Now()
	if err := old.process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("cannot send TERM: %w", err)
	}
	if err := t.another(ctx); err != nil {
		return err
	}
	if err := old.left(ctx); err != nil {
		t.note = err.Error()
	}
	old.process.End()
	return t.leader.start()
}

// freeze stops the whole container until another leads, and a random time more.
func freeze(ctx context.Context, t *trial) error {
	tree := t.leader.tree()
	t.fault = time.Now()
	for _, pid := range tree {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return fmt.Errorf("cannot stop the leader: %w", err)
		}
	}
	err := t.another(ctx)
	pause(ctx, 0, 2*time.Second)
	for _, pid := range tree {
		_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended, which is seen below
	}
	return err
}

// cutOff alternates between a lost route and refused connections.
func cutOff(ctx context.Context, t *trial) error {
	t.fault = time.Now()
	if t.fault.UnixNano()/1000%2 == 0 {
		t.leader.via.cut()
	} else if err := t.leader.via.hang(); err != nil {
		return err
	}
	if err := t.another(ctx); err != nil {
		return err
	}
	return t.leader.via.heal(ctx)
}

func breakBroker(ctx context.Context, t *trial) error {
	t.fault = time.Now()
	if err := t.set.broker.breakIt(ctx, t.set.book); err != nil {
		return err
	}
	return t.any(ctx, time.Now())
}

// restartAPI is away for as long as its start takes, and a random time more.
func restartAPI(ctx context.Context, t *trial) error {
	t.fault = time.Now()
	t.set.ground.plane.Kill()
	pause(ctx, 0, 4*time.Second)
	if err := t.set.ground.plane.Restart(ctx); err != nil {
		return err
	}
	return t.any(ctx, time.Now())
}
