//go:build integration

package lifecycle

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"crisper/integration/harness"
)

// A batch job writes without a flush, into a file: what it wrote is there however it
// ended, its status is ours, and a death is explained to whoever reads the termination
// message.
func TestABatchJob(t *testing.T) {
	const up = "import os, signal, sys, time\nprint('half of the work')\n"
	const TERMED = 128 + int(syscall.SIGTERM)
	for _, c := range []struct {
		name    string
		script  string
		options []string
		env     []string
		limit   int64 // of a real cgroup
		send    []syscall.Signal
		exit    int
		last    string // part of the termination message; "": there is none
		log     string // part of the log
	}{
		{name: "ends", script: up},
		{name: "ends with a status", script: up + "sys.exit(42)", exit: 42},
		{name: "ends with a message", script: up + "sys.exit('no input')", exit: 1, log: "no input"},
		{name: "ends with an exception", script: up + "raise ValueError('bad row 7')", exit: 1, log: "ValueError: bad row 7"},
		{name: "ends itself without a farewell", script: up + "os._exit(9)", exit: 9},
		{name: "is killed", script: up + "os.kill(os.getpid(), signal.SIGKILL)", exit: 137, last: "signal 9 (SIGKILL)"},
		{name: "aborts", script: up + "os.abort()", exit: 134, last: "signal 6 (SIGABRT)"},
		{name: "crashes", script: up + "os.kill(os.getpid(), signal.SIGSEGV)", exit: 139, last: "signal 11 (SIGSEGV)"},
		{name: "is told to leave", script: up + "time.sleep(60)", send: []syscall.Signal{TERM}, exit: TERMED},
		{name: "is told to leave and has something to finish", script: up + "signal.signal(signal.SIGTERM, lambda *_: (print('rolled back'), sys.exit(3)))\nprint('begun')\ntime.sleep(60)",
			send: []syscall.Signal{TERM}, exit: 3, log: "rolled back"},
		{name: "is interrupted", script: up + "time.sleep(60)", send: []syscall.Signal{INT}, exit: 130, log: "KeyboardInterrupt"},
		{name: "does not leave", script: up + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('begun')\ntime.sleep(60)", options: []string{"--grace", "2"},
			send: []syscall.Signal{TERM}, exit: 137, last: "did not leave within its grace of 2s"},
		{name: "is killed by the kernel for memory", script: up + "held = []\nwhile True: held.append(b'x' * (8 << 20)); time.sleep(0.005)", limit: 96 << 20,
			options: []string{"--guard-hard", "0", "--guard-soft", "0"}, exit: 137, last: "probably the kernel's OOM killer: cgroup ", log: "oom_kill count rose by 1"},
		{name: "is ended by us before the kernel takes the pod", script: up + "held = []\nwhile True: held.append(b'x' * (4 << 20)); time.sleep(0.05)", limit: 160 << 20,
			options: []string{"--guard-hard", "0.8", "--guard-soft", "0.5"}, exit: 137, last: "memory", log: "memory of the pod is nearly used up"},
		{name: "outgrows its own limit", script: up + "held = []\nwhile True: held.append(b'x' * (4 << 20)); time.sleep(0.05)",
			options: []string{"--memory-limit-per-child", "100Mi"}, exit: TERMED, last: "memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := harness.New(t)
			var group *harness.Cgroup
			if c.limit > 0 {
				var err error
				if group, err = b.MakeCgroup(c.limit); err != nil {
					t.Skip(err)
				}
			}
			last := b.Path("last-words")
			line := append([]string{b.Binary, "exec", "--http", "off", "--socket", "off", "--termination-log", last, "--log-format", "json", "--loglevel", "INFO"}, c.options...)
			p := harness.Got(b.Start(harness.Command{Name: "exec", Args: append(line, "--", b.Python, "-c", c.script), Env: c.env, Cgroup: group}))(t)
			ctx := harness.Deadline(t, patience)
			wait := "half of the work"
			if strings.Contains(c.script, "'begun'") {
				wait = "begun" // its handler is there
			}
			_ = harness.Got(p.WaitLog(ctx, wait))(t)
			for _, sig := range c.send {
				harness.Must(t, p.Signal(sig))
			}
			if code, _, err := p.Wait(ctx); err != nil || code != c.exit {
				t.Errorf("exit code %d, want %d; %v", code, c.exit, err)
			}
			if text := p.LogText(); !strings.Contains(text, c.log) {
				t.Errorf("the log does not have %q", c.log)
			}
			text, _ := os.ReadFile(last)
			if got := string(text); !strings.Contains(got, c.last) || c.last == "" && got != "" {
				t.Errorf("the termination message is %q, want %q", got, c.last)
			}
		})
	}
}
