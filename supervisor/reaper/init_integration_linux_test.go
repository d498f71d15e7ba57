//go:build integration

package reaper

import (
	"os/exec"
	"strings"
	"testing"
)

// A real PID 1: the first process of a namespace of its own, with /proc of its
// own. Needs root.
func TestPID1ReapsAThousandOrphansExactly(t *testing.T) {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("no unshare on this machine")
	}
	if text, err := exec.Command(unshare, "--pid", "--fork", "--mount-proc", "/bin/true").CombinedOutput(); err != nil {
		t.Skipf("no PID namespaces here: %v: %s", err, text)
	}
	r := running(t)
	cmd := act(t, "init")
	cmd.Args = []string{unshare, "--pid", "--fork", "--mount-proc", "--kill-child", cmd.Path}
	cmd.Path = unshare
	var out strings.Builder
	cmd.Stdout = &out
	wait, err := r.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := wait(); err != nil {
		t.Errorf("PID 1: %v", err)
	}
	if got := out.String(); !strings.HasPrefix(got, "wrong 0,") || !strings.HasSuffix(got, "zombies 0\n") {
		t.Errorf("PID 1 says %q", got)
	}
	t.Log(strings.TrimSpace(out.String()))
}
