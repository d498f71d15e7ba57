package native

import (
	"context"
	"maps"
	"slices"
	"time"

	"crisper/broker"
	"crisper/supervisor/pool"
	"crisper/supervisor/process"
)

// How often memory is measured: often when a limit depends on it and something
// runs, seldom otherwise (the state page and the metrics want to know, too).
const (
	measureBusy = 250 * time.Millisecond
	measureIdle = 10 * time.Second
)

// measure starts a measurement if one is due.
func (l *loop) measure() {
	if due := l.nextMeasure(); due.IsZero() || l.now.Before(due) {
		return
	}
	l.measuring, l.measuredAt = true, l.now
	pids := make(map[int]pool.ChildID, len(l.children))
	for id, c := range l.children {
		if c.ready {
			pids[c.pid] = id
		}
	}
	l.goes(func() { l.post(l.look(pids)) })
}

// nextMeasure is when the next measurement is due; zero: not before something happens.
func (l *loop) nextMeasure() time.Time {
	switch {
	case l.measuring || l.draining:
		return time.Time{}
	case l.measuredAt.IsZero():
		return l.now
	case (l.cfg.WatchMemory || l.cgroup.LimitBytes > 0) && l.book.Len() > 0:
		return l.measuredAt.Add(measureBusy)
	}
	return l.measuredAt.Add(measureIdle)
}

// look measures outside of the loop; one at a time, so that the meter has one user.
func (l *loop) look(pids map[int]pool.ChildID) measured {
	var m measured
	for pid, bytes := range l.meter.Private(slices.Collect(maps.Keys(pids))) {
		m.children = append(m.children, pool.ChildMemory{Child: pids[pid], Bytes: bytes})
	}
	if l.deps.Cgroup != nil {
		if u, err := l.deps.Cgroup.Usage(); err == nil {
			m.pod = u
		}
	}
	return m
}

func (l *loop) onMeasured(m measured) {
	l.measuring, l.podBefore, l.podMemory = false, l.podMemory, m.pod
	clear(l.memory)
	var sum, largest int64
	for _, c := range m.children {
		l.memory[c.Child] = c.Bytes
		sum += c.Bytes
		largest = max(largest, c.Bytes)
	}
	l.metrics.ChildMemory(sum, largest)
	if l.deps.Cgroup != nil {
		l.cgroup.Version = l.deps.Cgroup.Version()
	}
	l.cgroup.CurrentBytes, l.cgroup.LimitBytes = m.pod.Current, m.pod.Limit
	l.metrics.Cgroup(l.cgroup)
	l.metrics.Deliveries(l.deliveries())
	l.metrics.Slots(l.slotsByState())
	l.step(pool.MemoryMeasured{Children: m.children})
	l.step(pool.CgroupMeasured{Current: m.pod.Current, Limit: m.pod.Limit})
}

func (l *loop) slotsByState() map[string]int {
	by := make(map[string]int)
	for _, v := range l.pool.Snapshot(l.now) {
		by[v.State.String()]++
	}
	return by
}

// Backlog measures the consumed queues and keeps the result for the state page.
// It is called by whoever serves metrics, not by the loop.
func (r *Runtime) Backlog(ctx context.Context) (map[string]broker.Backlog, error) {
	b, err := r.loop.broker.Backlog(ctx)
	if err != nil {
		// No figures rather than old ones: an autoscaler would act on them.
		r.loop.post(asked{func(l *loop) { l.backlog = nil; l.metrics.Backlog(nil) }})
		return nil, err
	}
	r.loop.post(asked{func(l *loop) { l.backlog = b; l.metrics.Backlog(b) }})
	return b, nil
}

// explainDeath says how a child ended, with the numbers that make "out of
// memory" believable or not.
func (l *loop) explainDeath(c *child) string {
	if l.deps.Cgroup == nil || c.kill.Reason != "" {
		return c.status.String()
	}
	after, err := l.deps.Cgroup.Usage()
	if err != nil {
		return c.status.String()
	}
	// Not the newest: it may have been taken between the kill and our hearing of it.
	return process.Explain(*c.status, l.podBefore, after)
}
