//go:build integration

package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A real OOM kill: a process in a real memory cgroup of 64 MiB sees its child
// eat too much, and explains its death. Needs root and cgroup v1.
func TestARealOOMKillIsSeenAndExplained(t *testing.T) {
	own, err := OpenCgroup("", "")
	if err != nil {
		t.Skip(err)
	}
	if own.Version() != 1 {
		t.Skip("the memory controller is in cgroup v2, whose delegation this test does not know")
	}
	dir := makeCgroup(t, own.Path(), 64*mib)
	cmd := exec.Command("/bin/sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$1"`, dir, os.Args[0])
	cmd.Env = append(os.Environ(), actVariable+"=witness", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", out)
	words := strings.TrimSpace(string(out))
	if !strings.HasPrefix(words, dir+": signal 9 (SIGKILL), probably the kernel's OOM killer: cgroup ") ||
		!strings.HasSuffix(words, " of 64 MiB used when last measured, oom_kill count rose by 1") {
		t.Errorf("the witness says %q", words)
	}
}

// makeCgroup makes one below parent, and removes it when the test ends.
func makeCgroup(t *testing.T, parent string, limit int64) string {
	t.Helper()
	dir := filepath.Join(parent, "crisper-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("no cgroups may be made here: %v", err)
	}
	t.Cleanup(func() {
		// The kernel lets go of a cgroup a moment after its last process.
		for range 100 {
			if err := os.Remove(dir); err == nil {
				return
			}
			time.Sleep(20 * time.Millisecond) // the kernel announces nothing
		}
		t.Errorf("cannot remove %s", dir)
	})
	if err := os.WriteFile(filepath.Join(dir, "memory.limit_in_bytes"), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		t.Fatal(err)
	}
	return dir
}
