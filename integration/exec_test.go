//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"crisper/integration/harness"
	"crisper/supervisor/ops"
	"crisper/supervisor/process"
)

// executed is a running `crisper exec`.
type executed struct {
	*harness.Worker
	t      *testing.T
	Last   string // the termination message
	marker string // in the environment of everything that descends from it
}

// execute starts `crisper exec options… -- args…` and does not wait.
func execute(t *testing.T, b *harness.Bed, group *harness.Cgroup, wrap, options []string, args ...string) *executed {
	t.Helper()
	port := harness.Got(harness.FreePort())(t)
	e := &executed{t: t, Last: b.Path("last-words"), marker: fmt.Sprintf("EXEC_TEST_MARK=%d-%d", os.Getpid(), rand.Uint64())}
	address := "127.0.0.1:" + strconv.Itoa(port)
	line := append([]string{}, wrap...)
	line = append(line, b.Binary, "exec", "--http", address, "--socket", "off", "--termination-log", e.Last, "--log-format", "json", "--loglevel", "INFO")
	line = append(append(append(line, options...), "--"), args...)
	p := harness.Got(b.Start(harness.Command{Name: "exec", Args: line, Env: []string{e.marker}, Cgroup: group}))(t)
	e.Worker = &harness.Worker{Process: p, HTTP: address}
	return e
}

// ends waits for the end, compares the exit code, and looks for orphans.
func (e *executed) ends(code int) {
	e.t.Helper()
	got, _, err := e.Wait(harness.Deadline(e.t, 30*time.Second))
	harness.Must(e.t, err)
	if got != code {
		e.t.Errorf("exit code %d, want %d", got, code)
	}
	if alive := marked(e.marker); len(alive) > 0 {
		e.t.Errorf("left behind: %v", alive)
	}
}

func (e *executed) says(line string) {
	e.t.Helper()
	_ = harness.Got(e.WaitLog(harness.Deadline(e.t, 20*time.Second), line))(e.t)
}

func (e *executed) lastWords() string {
	text, _ := os.ReadFile(e.Last)
	return string(text)
}

// marked lists the living processes with this variable in their environment.
func marked(pair string) (found []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, err := os.ReadFile(dir + "/environ") // empty for a zombie
		if err == nil && strings.Contains("\x00"+string(env), "\x00"+pair+"\x00") {
			line, _ := os.ReadFile(dir + "/cmdline")
			found = append(found, filepath.Base(dir)+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// obedient says which signals it gets; TERM ends it with 7.
const obedient = `
import os, signal, sys, time
def got(n, _):
    os.write(1, ("got %s\n" % signal.Signals(n).name).encode())
    if n == signal.SIGTERM: os._exit(7)
for n in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
    signal.signal(n, got)
os.write(1, b"up\n")
while True: time.sleep(10)
`

// stubborn ignores everything that can be ignored.
const stubborn = `
import os, signal, time
for n in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT): signal.signal(n, signal.SIG_IGN)
os.write(1, b"up\n")
while True: time.sleep(10)
`

// parent has a grandchild that ignores TERM and lives on when it has left.
const parent = `
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
def leave(*_): os._exit(5)
signal.signal(signal.SIGTERM, leave)
os.write(1, b"up\n")
if len(sys.argv) > 2: os._exit(int(sys.argv[2]))
while True: time.sleep(10)
`

func TestExecSignals(t *testing.T) {
	t.Parallel()
	// Under nohup we ignore HUP, and so would what we start: what is caught here is
	// set to its default there.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	const TERM, INT, QUIT, HUP, USR1, USR2, WINCH = syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH
	for _, c := range []struct {
		name    string
		options []string
		script  []string
		send    []syscall.Signal
		heard   []string // after each signal, in the command's output
		exit    int
		last    string // part of the termination message; "": there is none
	}{
		{name: "TERM is passed on and the exit status kept", script: []string{obedient}, send: []syscall.Signal{TERM}, heard: []string{"got SIGTERM"}, exit: 7},
		{name: "INT, QUIT, HUP, USR1, USR2 and WINCH are passed on as they are", script: []string{obedient}, send: []syscall.Signal{HUP, USR1, USR2, WINCH, INT, INT, QUIT, TERM},
			heard: []string{"got SIGHUP", "got SIGUSR1", "got SIGUSR2", "got SIGWINCH", "got SIGINT", "got SIGINT", "got SIGQUIT", "got SIGTERM"}, exit: 7},
		{name: "TERM is what --stop-signal says", options: []string{"--stop-signal", "USR2"}, script: []string{obedient}, send: []syscall.Signal{TERM, TERM},
			heard: []string{"got SIGUSR2", ""}, exit: 137, last: "was told to hurry"},
		{name: "TERM twice ends what ignores it", script: []string{stubborn}, send: []syscall.Signal{TERM, TERM}, exit: 137, last: "was told to hurry"},
		{name: "what ignores TERM is killed within the grace", options: []string{"--grace", "2"}, script: []string{stubborn}, send: []syscall.Signal{TERM}, exit: 137, last: "did not leave within its grace of 2s"},
		{name: "INT begins the grace as well", options: []string{"--grace", "2"}, script: []string{stubborn}, send: []syscall.Signal{INT}, exit: 137, last: "did not leave within its grace of 2s"},
		{name: "a grandchild that lingers is ended when the command has left", script: []string{parent, obedient}, send: []syscall.Signal{TERM}, exit: 5},
		{name: "a grandchild that ignores TERM is killed within the grace", options: []string{"--grace", "3"}, script: []string{parent, stubborn}, send: []syscall.Signal{TERM}, exit: 5},
		{name: "a default TERM is a status, not news", script: []string{"import os, time; os.write(1, b'up\\n'); time.sleep(60)"}, send: []syscall.Signal{TERM}, exit: 143},
		{name: "USR1 without a handler ends a command, and we say so", script: []string{"import os, time; os.write(1, b'up\\n'); time.sleep(60)"}, send: []syscall.Signal{USR1}, exit: 138, last: "ended with signal 10 (SIGUSR1)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := harness.New(t)
			e := execute(t, b, nil, nil, c.options, append([]string{b.Python, "-c"}, c.script...)...)
			e.says("^up$|\nup\n")
			for i, sig := range c.send {
				harness.Must(t, e.Signal(sig))
				if i < len(c.heard) && c.heard[i] != "" {
					wantCount := count(c.heard[:i+1], c.heard[i])
					harness.Must(t, harness.Until(harness.Deadline(t, 20*time.Second), c.heard[i], func() bool {
						return strings.Count(e.LogText(), c.heard[i]+"\n") >= wantCount
					}))
				} else if i+1 < len(c.send) {
					e.says(`"draining"`) // the next one must not be merged with this one
				}
			}
			e.ends(c.exit)
			if got := e.lastWords(); !strings.Contains(got, c.last) || c.last == "" && got != "" {
				t.Errorf("the termination message is %q, want %q", got, c.last)
			}
		})
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

func TestExecKeepsExitStatuses(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	script := filepath.Join(b.Dir, "no-interpreter")
	harness.Must(t, os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755))
	plain := filepath.Join(b.Dir, "plain")
	harness.Must(t, os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644))
	for _, c := range []struct {
		args []string
		exit int
		last string
	}{
		{[]string{"true"}, 0, ""},
		{[]string{"false"}, 1, ""},
		{[]string{"sh", "-c", "exit 3"}, 3, ""},
		{[]string{"sh", "-c", "exit 255"}, 255, ""},
		{[]string{"no-such-command"}, 127, "cannot run no-such-command"},
		{[]string{"/no/such/command"}, 127, "no such file"},
		{[]string{plain}, 126, "permission denied"},
		{[]string{script}, 126, "interpreter in its first line"},
		{[]string{"sh", "-c", "kill -KILL $$"}, 137, "ended with signal 9 (SIGKILL)"},
		{[]string{"sh", "-c", "kill -SEGV $$"}, 139, "ended with signal 11 (SIGSEGV)"},
		{[]string{b.Python, "-c", parent, obedient, "0"}, 0, ""},
	} {
		e := execute(t, b, nil, nil, nil, c.args...)
		e.ends(c.exit)
		if got := e.lastWords(); !strings.Contains(got, c.last) || c.last == "" && got != "" {
			t.Errorf("%q: the termination message is %q, want %q", c.args, got, c.last)
		}
	}
}

func TestExecKillOfTheChildIsToldAndNothingOfItStays(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	e := execute(t, b, nil, nil, nil, b.Python, "-c", parent, obedient)
	e.says("\nup\n")
	state := harness.Got(e.State(harness.Deadline(t, 5*time.Second)))(t)
	harness.Must(t, syscall.Kill(state.Slots[0].PID, syscall.SIGKILL))
	e.ends(137)
	if got := e.lastWords(); !strings.Contains(got, "signal 9 (SIGKILL)") {
		t.Errorf("the termination message is %q", got)
	}
}

func TestExecProbesAndStateTellWhatGoesOn(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	e := execute(t, b, nil, nil, []string{"--pre-stop-delay", "2s"}, b.Python, "-c", obedient)
	e.says("\nup\n")
	ctx := harness.Deadline(t, 20*time.Second)
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/metrics"} {
		code, body, err := e.Get(ctx, path)
		if err != nil || code != 200 {
			t.Errorf("%s: %d %s %v", path, code, body, err)
		}
	}
	harness.Must(t, e.Signal(syscall.SIGTERM))
	at := time.Now()
	harness.Must(t, harness.Until(ctx, "/readyz to fail", func() bool {
		code, _, err := e.Get(ctx, "/readyz")
		return err == nil && code == 503
	}))
	if code, body, err := e.Get(ctx, "/livez"); err != nil || code != 200 {
		t.Errorf("/livez while draining: %d %s %v", code, body, err)
	}
	if strings.Contains(e.LogText(), "got SIGTERM") {
		t.Error("the command was told before the delay was over")
	}
	e.ends(7)
	if took := time.Since(at); took < 2*time.Second {
		t.Errorf("left after %s, before the delay was over", took)
	}
}

func TestExecAsPID1ReapsAThousandOrphansAndKeepsStatuses(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	wrap := []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child"}
	if err := exec.Command(wrap[0], append(wrap[1:], "true")...).Run(); err != nil {
		t.Skipf("no pid namespaces here: %v", err)
	}
	// 20 children with known statuses, each the parent of 50 orphans that end later.
	script := `
import os, sys, time
bad = 0
for i in range(20):
    pid = os.fork()
    if pid == 0:
        for j in range(50):
            if os.fork() == 0:
                time.sleep(0.05 + j * 0.005)
                os._exit(j)
        os._exit(i + 1)
    got = os.waitpid(pid, 0)[1]
    bad += os.WEXITSTATUS(got) != i + 1
print("statuses wrong: %d" % bad)
def zombies():
    n = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try: n += open("/proc/%s/stat" % name).read().rsplit(")", 1)[1].split()[0] == "Z"
            except OSError: pass
    return n
def others(): return sum(name.isdigit() for name in os.listdir("/proc")) - 2
while others() > 0: time.sleep(0.02)
print("orphans gone, zombies: %d, pid 1: %s" % (zombies(), open("/proc/1/comm").read().strip()))
time.sleep(60)
`
	e := execute(t, b, nil, wrap, nil, b.Python, "-c", script)
	e.says("statuses wrong: 0")
	e.says("orphans gone, zombies: 0, pid 1: crisper")
	code, body, err := e.Get(harness.Deadline(t, 5*time.Second), "/state")
	var state ops.State
	if err == nil {
		err = json.Unmarshal([]byte(body), &state)
	}
	harness.Must(t, err)
	if state.PID != 1 || state.Slots[0].PID == 0 {
		t.Errorf("/state: %d %s", code, body)
	}
	// TERM for PID 1 comes from outside of its namespace.
	inner := harness.Got(process.Children(e.PID()))(t)
	harness.Must(t, syscall.Kill(inner[0], syscall.SIGTERM))
	e.ends(143)
}

func TestExecIsTermedAtAnyMomentOfItsStart(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	trials := 100
	for i := range trials {
		e := execute(t, b, nil, nil, nil, "sleep", "60")
		// The moment is what is tested, and nothing announces it: some 10 ms are a start.
		time.Sleep(time.Duration(rand.IntN(12_000)) * time.Microsecond)
		harness.Must(t, e.Signal(syscall.SIGTERM))
		e.ends(143)
		if t.Failed() {
			t.Fatalf("in trial %d of %d", i, trials)
		}
	}
}

func TestExecAsPID1IsTermedAtAnyMomentOfItsStart(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	if err := exec.Command("unshare", "--pid", "--fork", "true").Run(); err != nil {
		t.Skipf("no pid namespaces here: %v", err)
	}
	lost := 0
	for range 50 {
		e := execute(t, b, nil, []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child"}, nil, "sleep", "60")
		ctx := harness.Deadline(t, 20*time.Second)
		var inner []int
		harness.Must(t, harness.Until(ctx, "PID 1 to be crisper", func() bool {
			inner, _ = process.Children(e.PID())
			if len(inner) == 0 {
				return false
			}
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", inner[0]))
			return strings.TrimSpace(string(name)) == "crisper" && catches(inner[0], syscall.SIGTERM)
		}))
		// The moment is what is tested, and nothing announces it.
		time.Sleep(time.Duration(rand.IntN(8_000)) * time.Microsecond)
		harness.Must(t, syscall.Kill(inner[0], syscall.SIGTERM))
		if code, _, err := e.Wait(ctx); err != nil {
			lost++
			e.End()
		} else if code != 143 && code != 2 {
			// 2 is Go's: its runtime had its handlers and our first package was not
			// initialized. A PID 1 cannot die of a signal, so it leaves with that.
			t.Errorf("exit code %d", code)
		}
	}
	if lost > 0 {
		t.Errorf("%d of 50 signals were lost", lost)
	}
}

// catches says that a process has a handler for sig. Before the Go runtime has
// any, the kernel drops what is sent to a PID 1: no program can change that.
func catches(pid int, sig syscall.Signal) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "SigCgt:"); ok {
			mask, _ := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return mask&(1<<(uint(sig)-1)) != 0
		}
	}
	return false
}

func TestABatchJobsOutputIsThereWhenItIsKilled(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	// print without flush, into a file: without PYTHONUNBUFFERED it would be lost.
	e := execute(t, b, nil, nil, nil, b.Python, "-c", "import os, signal\nprint('half of the work')\nos.kill(os.getpid(), signal.SIGKILL)")
	e.ends(137)
	if !strings.Contains(e.LogText(), "half of the work") {
		t.Error("its output is lost")
	}
}

func TestABatchJobThatTheKernelKilledForMemoryIsExplained(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	group, err := b.MakeCgroup(96 << 20)
	if err != nil {
		t.Skip(err)
	}
	eat := "print('begun')\nblocks = []\nwhile True: blocks.append(b'x' * (8 << 20))"
	e := execute(t, b, group, nil, []string{"--guard-hard", "0", "--guard-soft", "0"}, b.Python, "-c", eat)
	e.ends(137)
	if got := e.lastWords(); !strings.Contains(got, "probably the kernel's OOM killer: cgroup ") || !strings.Contains(got, "oom_kill count rose by 1") {
		t.Errorf("the termination message is %q", got)
	}
	if !strings.Contains(e.LogText(), "begun") {
		t.Error("its output is lost")
	}
}

// fat is a master whose worker grows slowly; the master tells of its end.
const fat = `
import os, time
pid = os.fork()
if pid == 0:
    blocks = []
    while True:
        blocks.append(b"x" * (4 << 20)); time.sleep(0.05)
print("worker ended with", os.waitpid(pid, 0)[1])
time.sleep(60)
`

func TestTheFattestProcessIsEndedBeforeTheKernelTakesTheContainer(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	group, err := b.MakeCgroup(160 << 20)
	if err != nil {
		t.Skip(err)
	}
	e := execute(t, b, group, nil, []string{"--guard-hard", "0.8", "--guard-soft", "0.5"}, b.Python, "-c", fat)
	e.says("worker ended with 9")
	e.says("memory of the pod is nearly used up")
	if n, err := group.OOMKills(); err != nil || n != 0 {
		t.Errorf("the kernel killed %d, %v", n, err)
	}
	harness.Must(t, e.Signal(syscall.SIGTERM))
	e.ends(143)
}

func TestTheMemoryLimitOfTheTreeEndsByPolicy(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	e := execute(t, b, nil, nil, []string{"--memory-limit-per-child", "100Mi"}, b.Python, "-c", fat)
	e.says("worker ended with 15")
	harness.Must(t, e.Signal(syscall.SIGTERM))
	e.ends(143)

	e = execute(t, b, nil, nil, []string{"--memory-limit-per-child", "100Mi", "--memory-action", "command"}, b.Python, "-c", fat)
	e.ends(143)
	if got := e.lastWords(); !strings.Contains(got, "was ended for the memory of the tree") {
		t.Errorf("the termination message is %q", got)
	}
}

func TestACommandInATerminalGetsItsKeysAndTheShellGetsTheTerminalBack(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	// Python's pty gives us a terminal whose foreground we are.
	script := `
import os, pty, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
out = b""
while b"up" not in out: out += os.read(fd, 100)
os.write(fd, b"\x03")
while b"got SIGINT" not in out: out += os.read(fd, 1000)
os.kill(pid, 15)
print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`
	ctx := harness.Deadline(t, 30*time.Second)
	out, code, err := b.Run(ctx, harness.Command{Name: "pty", Args: []string{b.Python, "-c", script, b.Binary, "exec", "--http", "off", "--socket", "off", "--", b.Python, "-c", obedient}})
	harness.Must(t, err)
	if code != 0 || !strings.Contains(out, "status 7") {
		t.Errorf("code %d: %s", code, out)
	}
}

func TestASecondExecInThePodRunsWithoutProbes(t *testing.T) {
	t.Parallel()
	b := harness.New(t)
	first := execute(t, b, nil, nil, nil, "sleep", "60")
	harness.Must(t, harness.Until(harness.Deadline(t, 10*time.Second), "probes", func() bool {
		code, _, err := first.Get(context.Background(), "/readyz")
		return err == nil && code == 200
	}))
	e := execute(t, b, nil, nil, []string{"--http", first.HTTP}, "sh", "-c", "exit 4")
	e.ends(4)
	harness.Must(t, first.Signal(unix.SIGTERM))
	first.ends(143)
}
