package celery

import (
	"time"

	"crisper/supervisor/command/tree"
	"crisper/supervisor/ops"
	"crisper/supervisor/pool"
	"crisper/supervisor/process"
)

// How often memory is measured: often when a limit depends on it, else seldom.
const (
	measureGuarded = 250 * time.Millisecond
	measureIdle    = 10 * time.Second
)

func (l *loop) measureEvery() time.Duration {
	if l.cfg.Pool.MaxMemory > 0 || l.cfg.Pool.MemoryKill > 0 || l.memory.Limit > 0 {
		return measureGuarded
	}
	return measureIdle
}

// weight is what a worker's tree weighs.
type weight struct {
	bytes     int64
	processes int
}

// measure starts a measurement if one is due; one at a time, outside of the loop.
func (l *loop) measure() {
	if l.measuring || l.draining || time.Since(l.measured) < l.measureEvery() {
		return
	}
	l.measuring, l.measured = true, time.Now()
	roots := make(map[pool.ChildID]int, len(l.children))
	for id, c := range l.children {
		roots[id] = c.pid
	}
	go func() {
		found := weigh(l.meter, roots)
		var pod process.Memory
		if l.cgroup != nil {
			pod, _ = l.cgroup.Usage() // not known: nothing is guarded this time
		}
		l.post(func() { l.onMeasured(found, pod) })
	}()
}

func weigh(meter *process.Meter, roots map[pool.ChildID]int) map[pool.ChildID]weight {
	of := map[int]pool.ChildID{}
	var pids []int
	for id, root := range roots {
		for _, pid := range append(tree.Descendants(root), root) {
			of[pid] = id
			pids = append(pids, pid)
		}
	}
	found := make(map[pool.ChildID]weight, len(roots))
	for pid, bytes := range meter.Private(pids) {
		w := found[of[pid]]
		found[of[pid]] = weight{w.bytes + bytes, w.processes + 1}
	}
	return found
}

func (l *loop) onMeasured(found map[pool.ChildID]weight, pod process.Memory) {
	l.measuring = false
	if pod != (process.Memory{}) {
		l.memory = pod
		l.recall.Note(time.Now(), pod)
	}
	var all []pool.ChildMemory
	var sum, largest int64
	for id, w := range found {
		if c := l.children[id]; c != nil {
			c.memory, c.size = w.bytes, w.processes
		}
		all = append(all, pool.ChildMemory{Child: id, Bytes: w.bytes})
		sum += w.bytes
		largest = max(largest, w.bytes)
	}
	l.metrics.ChildMemory(sum, largest)
	l.metrics.Cgroup(l.cgroupState())
	byState := map[string]int{}
	for _, v := range l.pool.Snapshot(time.Now()) {
		byState[v.State.String()]++
	}
	l.metrics.Slots(byState)
	l.step(pool.MemoryMeasured{Children: all})
	l.step(pool.CgroupMeasured{Current: pod.Current, Limit: pod.Limit})
}

func (l *loop) cgroupState() ops.CgroupState {
	state := ops.CgroupState{CurrentBytes: l.memory.Current, LimitBytes: l.memory.Limit}
	if l.cgroup != nil {
		state.Version = l.cgroup.Version()
	}
	return state
}
