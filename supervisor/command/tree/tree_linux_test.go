package tree

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
)

// family starts a shell with a child of its own, and waits for both.
func family(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", "sleep 60 & echo up; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = out.Read(make([]byte, 8))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	return cmd
}

func TestDescendantsAreFoundWithTheirNames(t *testing.T) {
	cmd := family(t)
	all := Descendants(os.Getpid())
	grandchildren := Descendants(cmd.Process.Pid)
	if !slices.Contains(all, cmd.Process.Pid) || len(grandchildren) != 1 || !slices.Contains(all, grandchildren[0]) {
		t.Errorf("below us %v, below the shell %v", all, grandchildren)
	}
	if name, living := Look(cmd.Process.Pid); name != "sh" || !living {
		t.Errorf("the shell is %q, living %t", name, living)
	}
	if _, living := Look(1 << 22); living {
		t.Error("who does not exist is said to live")
	}
}

func TestWhoIsNotBelowUsIsNotSignalled(t *testing.T) {
	if below(os.Getppid()) || below(1<<22) {
		t.Error("strangers are taken for descendants")
	}
	Signal(os.Getppid(), syscall.SIGKILL) // we would not come to tell
}

func TestAWholeGroupIsKilled(t *testing.T) {
	cmd := family(t)
	if n := KillGroup(cmd.Process.Pid); n != 2 {
		t.Errorf("killed %d, want 2", n)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the shell ended in good order")
	}
}
