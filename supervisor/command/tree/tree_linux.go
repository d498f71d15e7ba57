package tree

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"crisper/supervisor/process"
)

// namesShown is how many names of strays are worth telling.
const namesShown = 5

// Sweep sends sig to every living process below us, or counts them when sig is 0.
func Sweep(sig syscall.Signal) (alive int, names string) {
	var shown []string
	for _, pid := range Descendants(os.Getpid()) {
		name, living := Look(pid)
		if !living {
			continue
		}
		alive++
		if len(shown) < namesShown {
			shown = append(shown, name+" ("+strconv.Itoa(pid)+")")
		}
		if sig != 0 {
			Signal(pid, sig)
		}
	}
	return alive, strings.Join(shown, ", ")
}

// Descendants lists everything below pid, parents before children. A process that
// is adopted by us while we look may be missed or seen twice; who sweeps looks
// again until nothing is left.
func Descendants(pid int) []int {
	var all []int
	seen := map[int]bool{pid: true}
	todo := []int{pid}
	for len(todo) > 0 {
		children, _ := process.Children(todo[0]) // it has ended: its children are ours now
		todo = todo[1:]
		for _, child := range children {
			if !seen[child] {
				seen[child] = true
				all = append(all, child)
				todo = append(todo, child)
			}
		}
	}
	return all
}

// Look reads a process's name and whether it is more than a zombie.
func Look(pid int) (name string, living bool) {
	name, state, _, _ := readStat(pid)
	return name, state != 0 && state != 'Z' && state != 'X'
}

// readStat reads name, state, parent and process group; state 0: it is gone. The
// name is in parentheses and may itself hold some.
func readStat(pid int) (name string, state byte, parent, group int) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	open, shut := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if err != nil || open < 0 || shut < open {
		return "", 0, 0, 0
	}
	fields := strings.Fields(string(text[shut+1:]))
	if len(fields) < 3 {
		return "", 0, 0, 0
	}
	parent, _ = strconv.Atoi(fields[1])
	group, _ = strconv.Atoi(fields[2])
	return string(text[open+1 : shut]), fields[0][0], parent, group
}

// KillGroup kills what lives below us in a process group, whose leader may be gone,
// and says how many they were.
func KillGroup(group int) (killed int) {
	for _, pid := range Descendants(os.Getpid()) {
		_, state, _, in := readStat(pid)
		if in == group && state != 0 && state != 'Z' && state != 'X' {
			Signal(pid, syscall.SIGKILL)
			killed++
		}
	}
	return killed
}

// below says that a process descends from us now.
func below(pid int) bool {
	own := os.Getpid()
	for pid > 0 && pid != own {
		_, _, pid, _ = readStat(pid)
	}
	return pid == own
}

// Signal signals a process that was seen below us. A number that was
// given to a stranger since is not below us any more, and the pidfd keeps it from
// being given away between the second look and the signal.
func Signal(pid int, sig syscall.Signal) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		defer unix.Close(fd)
	}
	if !below(pid) {
		return
	}
	if err != nil { // before Linux 5.3, or forbidden
		_ = syscall.Kill(pid, sig)
		return
	}
	_ = unix.PidfdSendSignal(fd, sig, nil, 0) // it may have ended; then all is well
}
