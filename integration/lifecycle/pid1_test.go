//go:build integration

package lifecycle

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
	"crisper/supervisor/process"
)

// contained is a command as PID 1 of a namespace, as in a container.
func contained(t *testing.T, g *ground, args ...string) (p *harness.Process, init int) {
	t.Helper()
	line := append([]string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child"}, args...)
	p = harness.Got(g.Start(harness.Command{Name: "contained", Args: line, Env: g.Env(g.app)}))(t)
	harness.Must(t, harness.Until(harness.Deadline(t, patience), "PID 1 to have handlers", func() bool {
		inner, _ := process.Children(p.PID())
		if len(inner) == 0 {
			return false
		}
		init = inner[0]
		return catchesTERM(init)
	}))
	return p, init
}

// catchesTERM: before the Go runtime has handlers the kernel drops what is sent to a
// PID 1: no program can change that.
func catchesTERM(pid int) bool {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if strings.TrimSpace(string(name)) != "crisper" {
		return false // still unshare
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "SigCgt:")
	line, _, _ := strings.Cut(rest, "\n")
	mask, _ := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	return mask&(1<<(uint(syscall.SIGTERM)-1)) != 0
}

func needNamespaces(t *testing.T) {
	t.Helper()
	if err := exec.Command("unshare", "--pid", "--fork", "--mount-proc", "true").Run(); err != nil {
		t.Skipf("no pid namespaces here: %v", err)
	}
}

func (g *ground) worker(address string) []string {
	return []string{g.Binary, "worker", "-A", g.app.Name, "--python", g.Python, "--http", address, "--socket", "off", "--log-format", "json",
		"--loglevel", "INFO", "--runtime=celery", "--children", "2", "-c", "1"}
}

func (g *ground) execution(address string) []string {
	return []string{g.Binary, "exec", "--http", address, "--socket", "off", "--log-format", "json", "--loglevel", "INFO", "--grace", "20",
		"--", filepath.Join(filepath.Dir(g.Python), "celery"), "-A", g.app.Name, "worker", "-c", "1"}
}

func address(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", harness.Got(harness.FreePort())(t))
}

func TestAsPID1AThousandOrphansOfATaskAreReapedAndTheWorkersStay(t *testing.T) {
	needNamespaces(t)
	g := newGround(t, cell{"", "", "redis", "prefork", "worker"}, nil)
	at := address(t)
	p, init := contained(t, g, g.worker(at)...)
	w := &harness.Worker{Process: p, HTTP: at}
	harness.Must(t, w.WaitReady(harness.Deadline(t, patience)))
	id := harness.Got(g.client.Send(harness.Task{Name: "lifeapp.orphans", Args: []any{1000}}))(t)
	harness.Must(t, g.Journal.UntilEnded(harness.Deadline(t, patience), id))
	harness.Must(t, harness.Until(harness.Deadline(t, patience), "all orphans to be reaped", func() bool { return below(t, init, "sleep")+below(t, init, "sh") == 0 }))
	if got := harness.Got(g.client.Results(10*time.Second, id))(t)[id]; got.Text() != "0" {
		t.Errorf("the script's status is %s", got.Text())
	}
	state := harness.Got(w.State(harness.Deadline(t, patience)))(t)
	for _, slot := range state.Slots {
		if slot.Generation != 1 || slot.PID == 0 {
			t.Errorf("a worker is not the one that was started: %+v", slot)
		}
	}
	if state.PID != 1 {
		t.Errorf("the supervisor is PID %d", state.PID)
	}
	// TERM for PID 1 comes from outside of its namespace.
	harness.Must(t, syscall.Kill(init, syscall.SIGTERM))
	if code, _, err := p.Wait(harness.Deadline(t, patience)); err != nil || code != 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
}

// below counts the children of a process that have this name, zombies too.
func below(t *testing.T, pid int, name string) (n int) {
	for _, child := range harness.Got(process.Children(pid))(t) {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child))
		if strings.TrimSpace(string(comm)) == name {
			n++
		}
	}
	return n
}

// A signal at any moment of the start: the namespace ends with a code that says why,
// and never stays.
func TestAsPID1EverySignalIsHeardAtAnyMomentOfTheStart(t *testing.T) {
	needNamespaces(t)
	g := newGround(t, cell{"", "", "redis", "prefork", "worker"}, nil)
	for name, c := range map[string]struct {
		args func(string) []string
		sig  syscall.Signal
		ends []int
	}{
		// Go's runtime ends a process with 2 that is signalled before our handlers are there.
		"worker, TERM": {g.worker, TERM, []int{0, 2, 143}},
		"worker, INT":  {g.worker, INT, []int{0, 2, 130}},
		"worker, QUIT": {g.worker, QUIT, []int{1, 2, 131}},
		// A Celery that has no handlers yet dies of the signal; INT is an exception to
		// Python, which swallows it in some moments of its own start: then the grace ends it.
		"exec, TERM": {g.execution, TERM, []int{0, 2, 143}},
		"exec, INT":  {g.execution, INT, []int{0, 1, 2, 130, 137}},
		"exec, QUIT": {g.execution, QUIT, []int{0, 1, 2, 131, 137}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for delay := time.Duration(0); delay < 3*time.Second; delay += delay/3 + 4*time.Millisecond {
				p, init := contained(t, g, c.args(address(t))...)
				time.Sleep(delay) // the moment is what is tested, and nothing announces it
				_ = syscall.Kill(init, c.sig)
				code, _, err := p.Wait(harness.Deadline(t, patience))
				if err != nil {
					t.Errorf("after %s it was not heard: %v\n%s", delay, err, p.LogText())
					p.End()
				} else if !contains(c.ends, code) {
					t.Errorf("after %s: exit code %d\n%s", delay, code, p.LogText())
				}
			}
		})
	}
}

func contains(all []int, one int) bool {
	for _, each := range all {
		if each == one {
			return true
		}
	}
	return false
}
