// Package proctree measures a process with all its descendants: memory and CPU, as
// the kernel counts them.
package proctree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Memory of a tree, in bytes. Private is what would be free if the process went;
// PSS counts a page that n processes share as a n-th for each.
type Memory struct{ Private, PSS int64 }

// PIDs lists a process and its descendants, the root first. Processes that come
// and go meanwhile may be missed.
func PIDs(root int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		pid, ppid, ok := parent(path)
		if ok {
			children[ppid] = append(children[ppid], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// parent reads pid and parent's pid; the name between them may hold anything.
func parent(path string) (pid, ppid int, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, false // gone meanwhile
	}
	open, shut := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	if open < 0 || shut < 0 {
		return 0, 0, false
	}
	fields := strings.Fields(string(text[shut+1:]))
	pid, err = strconv.Atoi(strings.TrimSpace(string(text[:open])))
	if err != nil || len(fields) < 2 {
		return 0, 0, false
	}
	ppid, err = strconv.Atoi(fields[1])
	return pid, ppid, err == nil
}

// Measure sums the memory of a tree.
func Measure(root int) (Memory, error) {
	var sum Memory
	for _, pid := range PIDs(root) {
		m, err := ofProcess(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // gone meanwhile
		}
		if err != nil {
			return sum, err
		}
		sum.Private += m.Private
		sum.PSS += m.PSS
	}
	return sum, nil
}

// MeasureOne is the memory of one process, without those below it.
func MeasureOne(pid int) (Memory, error) { return ofProcess(pid) }

func ofProcess(pid int) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("cannot measure the memory of process %d: %w", pid, err)
	}
	return parseRollup(string(text)), nil
}

func parseRollup(text string) Memory {
	var m Memory
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64) // the header line is no number: 0
		switch fields[0] {
		case "Private_Clean:", "Private_Dirty:":
			m.Private += kib << 10
		case "Pss:":
			m.PSS += kib << 10
		}
	}
	return m
}

// CPU is the time that a tree's threads have run so far, in nanoseconds by the
// scheduler's count; utime and stime come in ticks of 10 ms, too coarse for an
// idle worker.
func CPU(root int) time.Duration {
	var sum time.Duration
	for _, pid := range PIDs(root) {
		sum += CPUOf(pid)
	}
	return sum
}

// CPUOf is the same for one process. Threads that have ended are not counted.
func CPUOf(pid int) time.Duration {
	var sum time.Duration
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // gone meanwhile
		}
		run, _, _ := strings.Cut(string(text), " ")
		ns, _ := strconv.ParseInt(run, 10, 64)
		sum += time.Duration(ns)
	}
	return sum
}

// Alive says whether a process runs; a zombie does not.
func Alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}
