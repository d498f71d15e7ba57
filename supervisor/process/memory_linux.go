package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// PrivateMemory is the memory, in bytes, that would be free if pid were not
// there: pages that it shares with nobody (Private_Clean, Private_Dirty,
// Private_Hugetlb). Pages shared with the zygote do not count, nor does swap.
//
// Where smaps_rollup may not be read or does not exist (before Linux 4.14,
// gVisor, hardened /proc), it is resident minus file-backed and shared memory of
// statm, which counts pages shared with the zygote too.
func PrivateMemory(pid int) (int64, error) {
	return measure("/proc", pid, parsePrivate)
}

// PSS is pid's proportional share of memory, in bytes: each page divided by the
// number of processes that have it, so that sums over processes are true. Its
// fallback is that of PrivateMemory.
func PSS(pid int) (int64, error) {
	return measure("/proc", pid, parsePSS)
}

// TreeMemory is the PSS of root and all its descendants. Those that end meanwhile
// count as nothing.
func TreeMemory(root int) (int64, error) {
	total, err := PSS(root)
	if err != nil {
		return 0, err
	}
	children, err := Children(root)
	if err != nil {
		return 0, err
	}
	for _, pid := range children {
		if n, err := TreeMemory(pid); err == nil {
			total += n
		}
	}
	return total, nil
}

func measure(procRoot string, pid int, parse func([]byte) (int64, bool)) (int64, error) {
	buf := readBuffers.Get().(*buffer)
	defer readBuffers.Put(buf)
	proc := procRoot + "/" + strconv.Itoa(pid)
	text, err := readInto(proc+"/smaps_rollup", buf[:])
	if err == nil {
		if n, ok := parse(text); ok {
			return n, nil
		}
		err = errors.New("no such figures in smaps_rollup")
	}
	if errors.Is(err, syscall.ESRCH) {
		// A zombie has no memory, and nothing else would be found in statm.
		return 0, fmt.Errorf("cannot measure process %d: %w", pid, os.ErrProcessDone)
	}
	if n, ok := fromStatm(proc, buf); ok {
		return n, nil
	}
	if isGone(proc) {
		err = os.ErrProcessDone
	}
	return 0, fmt.Errorf("cannot measure process %d: %w", pid, err)
}

func fromStatm(proc string, buf *buffer) (int64, bool) {
	text, err := readInto(proc+"/statm", buf[:])
	if err != nil {
		return 0, false
	}
	return parseStatm(text, int64(os.Getpagesize()))
}

// glanceAt reads pid's counters, in no time.
func glanceAt(pid int) (glance, error) {
	buf := readBuffers.Get().(*buffer)
	defer readBuffers.Put(buf)
	text, err := readInto("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	if err != nil {
		return glance{}, err
	}
	g, ok := parseStat(text, int64(os.Getpagesize()))
	if !ok {
		return glance{}, fmt.Errorf("stat of process %d is %q", pid, text)
	}
	return g, nil
}

func isGone(proc string) bool {
	_, err := os.Stat(proc)
	return errors.Is(err, os.ErrNotExist)
}

// Children lists the direct children of pid.
func Children(pid int) ([]int, error) {
	pids, err := childrenFromTasks(pid)
	if err != nil {
		return nil, fmt.Errorf("cannot list the children of process %d: %w", pid, err)
	}
	return pids, nil
}

// SetOOMScoreAdj makes pid more (up to 1000) or less (down to -1000) likely to
// be chosen by the OOM killer. Less than it was needs CAP_SYS_RESOURCE.
func SetOOMScoreAdj(pid, n int) error {
	path := "/proc/" + strconv.Itoa(pid) + "/oom_score_adj"
	if err := os.WriteFile(path, []byte(strconv.Itoa(n)), 0); err != nil {
		return fmt.Errorf("cannot set oom_score_adj of process %d to %d: %w", pid, n, err)
	}
	return nil
}
