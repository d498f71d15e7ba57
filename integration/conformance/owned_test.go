package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// owner starts a process that sleeps, tells both numbers, and sleeps too.
const owner = `
import os, owned, time
%
print(os.getpid(), owned.popen(["sleep", "600"]).pid, flush=True)
time.sleep(600)
`

func TestWhatARunHasStartedDiesWithIt(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	for name, c := range map[string]struct {
		script string
		kill   func(shell, owner int)
	}{
		"pytest is told to leave": {"", func(_, owner int) { syscall.Kill(owner, syscall.SIGTERM) }},
		"pytest is killed":        {"", func(_, owner int) { syscall.Kill(owner, syscall.SIGKILL) }},
		"the runner is killed":    {"owned.leave_with_parent()", func(shell, _ int) { syscall.Kill(shell, syscall.SIGKILL) }},
	} {
		t.Run(name, func(t *testing.T) {
			// The shell stands for the program that starts pytest.
			cmd := exec.Command("sh", "-c", `"$@"; exit`, "sh", python, "-c", strings.Replace(owner, "%", c.script, 1))
			cmd.Env = append(os.Environ(), "PYTHONPATH=app", "PYTHONDONTWRITEBYTECODE=1")
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			line, err := bufio.NewReader(out).ReadString('\n')
			fields := strings.Fields(line)
			if err != nil || len(fields) != 2 {
				t.Fatalf("%q: %v", line, err)
			}
			first, _ := strconv.Atoi(fields[0])
			second, _ := strconv.Atoi(fields[1])
			defer syscall.Kill(second, syscall.SIGKILL)
			defer syscall.Kill(first, syscall.SIGKILL)
			c.kill(cmd.Process.Pid, first)
			end := time.Now().Add(60 * time.Second)
			for running(first) || running(second) {
				if time.Now().After(end) {
					t.Fatalf("after a minute: the owner runs %v, what it owns %v", running(first), running(second))
				}
				time.Sleep(20 * time.Millisecond) // nobody tells us of the end of processes that are not ours
			}
		})
	}
}

// running: a zombie has ended; it waits for whoever inherited it.
func running(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}
