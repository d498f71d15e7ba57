package runner

import (
	"maps"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/command"
	"crisper/supervisor/command/tree"
	"crisper/supervisor/ops"
	"crisper/supervisor/process"
)

// How often memory is measured: often when something depends on it, seldom when
// only the state page and the metrics want to know.
const (
	measureGuarded = 250 * time.Millisecond
	measureIdle    = 10 * time.Second
)

func (l *loop) measureEvery() time.Duration {
	if l.cfg.Command.MemoryLimit > 0 || l.memory.Limit > 0 {
		return measureGuarded
	}
	return measureIdle
}

// measure starts a measurement if one is due; one at a time, outside of the loop.
func (l *loop) measure() {
	running := l.machine.State() == command.Ready || l.machine.State() == command.Draining
	if l.measuring || !running || time.Since(l.measured) < l.measureEvery() {
		return
	}
	l.measuring, l.measured = true, time.Now()
	pid := l.machine.PID()
	go func() {
		weights := l.weigh(pid)
		var pod process.Memory
		if l.cgroup != nil {
			pod, _ = l.cgroup.Usage() // not known: no limit is guarded this time
		}
		l.post(func() { l.onMeasured(weights, pod) })
	}()
}

// weigh measures the command and everything below us.
func (l *loop) weigh(own int) []command.Process {
	pids := tree.Descendants(os.Getpid())
	if !slices.Contains(pids, own) {
		pids = append(pids, own)
	}
	weights := l.meter.Private(pids)
	return heaviest(weights)
}

func heaviest(weights map[int]int64) []command.Process {
	var found []command.Process
	for _, pid := range slices.Sorted(maps.Keys(weights)) {
		name, living := tree.Look(pid)
		if living {
			found = append(found, command.Process{PID: pid, Name: name, Bytes: weights[pid]})
		}
	}
	return found
}

func (l *loop) onMeasured(found []command.Process, pod process.Memory) {
	l.measuring, l.tree = false, found
	if pod != (process.Memory{}) {
		l.memory = pod
		l.recall.Note(time.Now(), pod)
	}
	var sum, largest int64
	for _, p := range found {
		sum += p.Bytes
		largest = max(largest, p.Bytes)
	}
	l.metrics.ChildMemory(sum, largest)
	l.metrics.Cgroup(l.cgroupState())
	l.log.Debug("measured", zap.Int64("tree_bytes", sum), zap.Int64("pod_bytes", pod.Current))
	l.step(command.Measured{Tree: found, Current: pod.Current, Limit: pod.Limit})
}

func (l *loop) cgroupState() ops.CgroupState {
	state := ops.CgroupState{CurrentBytes: l.memory.Current, LimitBytes: l.memory.Limit}
	if l.cgroup != nil {
		state.Version = l.cgroup.Version()
	}
	return state
}
