package runner

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

// sweep sends sig to every living process below us, or counts them when sig is 0.
func sweep(sig syscall.Signal) (alive int, names string) {
	var shown []string
	for _, pid := range descendants(os.Getpid()) {
		name, living := look(pid)
		if !living {
			continue
		}
		alive++
		if len(shown) < namesShown {
			shown = append(shown, name+" ("+strconv.Itoa(pid)+")")
		}
		if sig != 0 {
			signalDescendant(pid, sig)
		}
	}
	return alive, strings.Join(shown, ", ")
}

// descendants lists everything below pid, parents before children. A process that
// is adopted by us while we look may be missed or seen twice; who sweeps looks
// again until nothing is left.
func descendants(pid int) []int {
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

// look reads a process's name and whether it is more than a zombie.
func look(pid int) (name string, living bool) {
	name, state, _ := readStat(pid)
	return name, state != 0 && state != 'Z' && state != 'X'
}

// readStat reads name, state and parent of a process; state 0: it is gone. The
// name is in parentheses and may itself hold some.
func readStat(pid int) (name string, state byte, parent int) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	open, shut := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if err != nil || open < 0 || shut < open {
		return "", 0, 0
	}
	fields := strings.Fields(string(text[shut+1:]))
	if len(fields) < 2 {
		return "", 0, 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return string(text[open+1 : shut]), fields[0][0], parent
}

// below says that a process descends from us now.
func below(pid int) bool {
	own := os.Getpid()
	for pid > 0 && pid != own {
		_, _, pid = readStat(pid)
	}
	return pid == own
}

// signalDescendant signals a process that was seen below us. A number that was
// given to a stranger since is not below us any more, and the pidfd keeps it from
// being given away between the second look and the signal.
func signalDescendant(pid int, sig syscall.Signal) {
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
