package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
)

func TestAPidfileKeepsASecondWorkerOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.pid")
	release, err := prepare(options.Plan{Pidfile: path, Umask: -1})
	if err != nil {
		t.Fatal(err)
	}
	if content, _ := os.ReadFile(path); string(content) != fmt.Sprintf("%d\n", os.Getpid()) {
		t.Errorf("the file says %q", content)
	}
	release()
	if exists(path) {
		t.Error("the file is left behind")
	}

	// The parent of the test runs for sure.
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getppid()), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = prepare(options.Plan{Pidfile: path, Umask: -1})
	want := fmt.Sprintf("ERROR: Pidfile (%s) already exists.\nSeems we're already running? (pid: %d)", path, os.Getppid())
	if err == nil || err.Error() != want || exitCode(err) != supervisor.ExitPidfile {
		t.Errorf("%d: %v", exitCode(err), err)
	}
}

func TestAStalePidfileIsReplaced(t *testing.T) {
	ended := exec.Command("/bin/true")
	if err := ended.Run(); err != nil {
		t.Skip(err)
	}
	for _, content := range []string{fmt.Sprint(ended.Process.Pid), fmt.Sprint(os.Getpid()), "nonsense", ""} {
		path := filepath.Join(t.TempDir(), "w.pid")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		release, err := prepare(options.Plan{Pidfile: path, Umask: -1})
		if err != nil {
			t.Errorf("%q: %v", content, err)
			continue
		}
		release()
	}
}

func TestNodeFormat(t *testing.T) {
	for _, test := range []struct{ node, text, want string }{
		{"", "%n-%h.log", "celery-web.example.com.log"},
		{"w1@%h", "%n.log", "w1.log"},
		{"w1@", "%p", "w1@web.example.com"},
		{"w1@box", "/var/log/%n%I.%i.log", "/var/log/w1.0.log"},
		{"box", "%n", "celery"},
		{"", "%d", "example.com"},
		{"w1@other.example.org", "%n-%h-%d", "w1-other.example.org-example.org"},
		{"w3", "%n-%h-%d", "celery-w3-"},
		{"%n@%h", "%p", "web@web.example.com"},
		{"w1@%d", "%h", "example.com"},
		{"@box", "%p", "celery@box"},
		{"", "100%%", "100%"},
	} {
		const host = "web.example.com"
		if got := nodeFormat(test.text, nodeName(test.node, host)); got != test.want {
			t.Errorf("-n %q: %s becomes %s, want %s", test.node, test.text, got, test.want)
		}
	}
}

func TestAutoConcurrencyFollowsTheQuota(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  int
	}{
		{"no cgroup", nil, 4},
		{"no quota", map[string]string{"cpu.max": "max 100000\n"}, 4},
		{"one and a half", map[string]string{"cpu.max": "150000 100000\n"}, 2},
		{"a tenth", map[string]string{"cpu.max": "10000 100000\n"}, 1},
		{"more than there is", map[string]string{"cpu.max": "800000 100000\n"}, 4},
		{"version 1", map[string]string{"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3},
		{"version 1 without quota", map[string]string{"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4},
		{"nonsense", map[string]string{"cpu.max": "x"}, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range test.files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := cpus(dir, 4); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}

// becomeVar makes the test binary drop its privileges and tell what is left.
const becomeVar = "CRISPER_CMD_BECOME"

func TestPrivilegesAreDroppedForGood(t *testing.T) {
	if who := os.Getenv(becomeVar); who != "" {
		uid, gid, _ := strings.Cut(who, ":")
		err := become(uid, gid)
		groups, _ := os.Getgroups()
		fmt.Printf("became %d:%d %v, %v\n", os.Geteuid(), os.Getegid(), groups, err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root has privileges to drop")
	}
	for who, want := range map[string]string{
		"54321:54322": "became 54321:54322 [54322], <nil>",
		":54322":      "became 0:54322 [54322], <nil>",
		"nobody9x:":   `there is no user "nobody9x"`,
		":nogroup9x":  `there is no group "nogroup9x"`,
	} {
		cmd := exec.Command(os.Args[0], "-test.run=TestPrivilegesAreDroppedForGood", "-test.v")
		cmd.Env = append(os.Environ(), becomeVar+"="+who)
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("%s: %s, want %q", who, out, want)
		}
	}
}
