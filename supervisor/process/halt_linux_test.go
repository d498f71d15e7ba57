package process

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAProcessThatIsStoppedIsSeenToStandStill(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() // killed: its status says nothing
	defer cmd.Process.Kill()
	err := Halted(cmd.Process.Pid, 20*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "cannot stop process") {
		t.Errorf("one that runs: %v", err)
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := Halted(cmd.Process.Pid, 10*time.Second); err != nil {
		t.Errorf("one that was stopped: %v", err)
	}
	if err := Halted(1<<22+1, time.Second); err == nil {
		t.Error("one that is not there stands still")
	}
}

func TestTheLoadAverageIsRead(t *testing.T) {
	if load := LoadAverage(); load[0] < 0 || load[1] < 0 || load[2] <= 0 {
		t.Errorf("%v", load)
	}
}
