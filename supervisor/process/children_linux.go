package process

import (
	"os"
	"strconv"
	"strings"
)

// childrenFromTasks reads /proc/PID/task/*/children: each thread has its own.
func childrenFromTasks(pid int) ([]int, error) {
	tasks := "/proc/" + strconv.Itoa(pid) + "/task"
	entries, err := os.ReadDir(tasks)
	if err != nil {
		return nil, err
	}
	var pids []int
	var missing error
	for _, entry := range entries {
		text, err := os.ReadFile(tasks + "/" + entry.Name() + "/children")
		if err != nil {
			missing = err // this thread has ended, or the kernel lacks the file
			continue
		}
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	if pids == nil && missing != nil {
		return childrenFromStat(pid)
	}
	return pids, nil
}

// childrenFromStat looks at everybody's parent (no CONFIG_PROC_CHILDREN).
func childrenFromStat(parent int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if text, err := os.ReadFile("/proc/" + entry.Name() + "/stat"); err == nil && parentOf(string(text)) == parent {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// parentOf reads the parent from a stat line, whose second field is a name in
// parentheses that may itself hold spaces and parentheses.
func parentOf(stat string) int {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}
