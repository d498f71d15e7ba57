package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each file of testdata/cgroups is a story: what /proc and /sys hold, and what is
// to be read out of it on a machine of 8 CPUs.
func TestCgroupsAreReadAsTheSystemMeansThem(t *testing.T) {
	files, err := filepath.Glob("testdata/cgroups/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			root, want := unpack(t, file)
			if got := describe(root); got != want {
				t.Errorf("read\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// describe says what is read from a tree, in the form of the files' last section.
func describe(root string) string {
	var b strings.Builder
	proc, sys := filepath.Join(root, "proc"), filepath.Join(root, "sys/fs/cgroup")
	if c, err := OpenCgroup(proc, sys); err != nil {
		fmt.Fprintf(&b, "error %v\n", err)
	} else if m, err := c.Usage(); err != nil {
		fmt.Fprintf(&b, "error %v\n", err)
	} else {
		fmt.Fprintf(&b, "version %d\npath %s\n", c.Version(), strings.TrimPrefix(c.Path(), root+"/"))
		fmt.Fprintf(&b, "current %d\nlimit %d\noom_kills %d\n", m.Current, m.Limit, m.OOMKills)
	}
	fmt.Fprintf(&b, "cpus %d\n", cpuBudget(proc, sys, 8).Count)
	return b.String()
}

// unpack writes the sections of a file ("-- path --") below a new directory, and
// returns the last one, "want", as text.
func unpack(t *testing.T, file string) (root, want string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root = t.TempDir()
	sections := strings.Split("\n"+string(text), "\n-- ")
	for _, section := range sections[1:] {
		name, body, ok := strings.Cut(section, " --\n")
		if !ok {
			t.Fatalf("%s: section without a name: %q", file, section)
		}
		if name == "want" {
			return root, body
		}
		write(t, filepath.Join(root, name), body+"\n")
	}
	t.Fatalf("%s wants nothing", file)
	return "", ""
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestALimitThatIsChangedLaterIsSeen(t *testing.T) {
	root, _ := unpack(t, "testdata/cgroups/v2_container.txt")
	c, err := OpenCgroup(filepath.Join(root, "proc"), filepath.Join(root, "sys/fs/cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "sys/fs/cgroup/memory.max"), "1073741824\n")
	if m, err := c.Usage(); err != nil || m.Limit != 1<<30 {
		t.Errorf("%+v, %v; want a limit of 1 GiB", m, err)
	}
}

func TestACgroupThatVanishedIsAnError(t *testing.T) {
	root, _ := unpack(t, "testdata/cgroups/v2_container.txt")
	c, err := OpenCgroup(filepath.Join(root, "proc"), filepath.Join(root, "sys/fs/cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, "sys/fs/cgroup")); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Usage(); err == nil || !strings.HasPrefix(err.Error(), "cannot measure the cgroup: ") {
		t.Errorf("%+v, %v; want an error", m, err)
	}
}

func TestWithoutProcThereIsNoCgroupAndNoQuota(t *testing.T) {
	if _, err := OpenCgroup(t.TempDir(), t.TempDir()); err == nil {
		t.Error("no error")
	}
	if cpu := cpuBudget(t.TempDir(), t.TempDir(), 3); cpu != (CPU{Count: 3, Available: 3}) {
		t.Errorf("%+v, want all 3", cpu)
	}
}

func TestTheQuotaIsRoundedUpAndCapped(t *testing.T) {
	tests := []struct {
		max       string
		available int
		want      CPU
		text      string
	}{
		{"max 100000", 4, CPU{4, 4, 0}, "4 CPUs, no quota"},
		{"100000 100000", 4, CPU{1, 4, 1}, "a quota of 1.00 of 4 CPUs"},
		{"150000 100000", 4, CPU{2, 4, 1.5}, "a quota of 1.50 of 4 CPUs"},
		{"1000 100000", 4, CPU{1, 4, 0.01}, "a quota of 0.01 of 4 CPUs"},
		{"900000 100000", 4, CPU{4, 4, 9}, "a quota of 9.00 of 4 CPUs"},
		{"0 100000", 4, CPU{4, 4, 0}, "4 CPUs, no quota"},
		{"garbage", 2, CPU{2, 2, 0}, "2 CPUs, no quota"},
	}
	for _, tt := range tests {
		root := t.TempDir()
		write(t, filepath.Join(root, "proc/self/cgroup"), "0::/\n")
		write(t, filepath.Join(root, "proc/self/mountinfo"), "24 30 0:22 / /sys/fs/cgroup rw - cgroup2 c rw\n")
		write(t, filepath.Join(root, "sys/fs/cgroup/cpu.max"), tt.max+"\n")
		got := cpuBudget(filepath.Join(root, "proc"), filepath.Join(root, "sys/fs/cgroup"), tt.available)
		if got != tt.want || got.String() != tt.text {
			t.Errorf("%s of %d: %+v %q, want %+v", tt.max, tt.available, got, got, tt.want)
		}
	}
}
