package proctree

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestRollupCountsBothKindsOfPrivatePages(t *testing.T) {
	text := "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 900 kB\nPss: 100 kB\nPss_Dirty: 7 kB\nPrivate_Clean: 10 kB\nPrivate_Dirty: 20 kB\n"
	if got, want := parseRollup(text), (Memory{Private: 30 << 10, PSS: 100 << 10}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestATreeHasItsGrandchildren(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sh -c 'sleep 60 & echo up; wait' & wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	bufio.NewReader(out).ReadString('\n')
	pids := PIDs(cmd.Process.Pid)
	defer func() {
		for _, pid := range slices.Backward(pids) {
			if p, err := os.FindProcess(pid); err == nil {
				p.Kill()
			}
		}
	}()
	if len(pids) != 3 {
		t.Errorf("got %d processes, want the shell, its child and sleep", len(pids))
	}
	if m, err := Measure(cmd.Process.Pid); err != nil || m.PSS <= 0 || m.Private <= 0 {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestCPUIsCountedFinerThanTicks(t *testing.T) {
	before := CPU(os.Getpid())
	for until := time.Now().Add(5 * time.Millisecond); time.Now().Before(until); {
	}
	if used := CPU(os.Getpid()) - before; used < time.Millisecond || used > time.Second {
		t.Errorf("5 ms of work were counted as %v", used)
	}
}
