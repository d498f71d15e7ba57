package process

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const mib = 1 << 20

func TestMemoryThatAChildTouchesIsPrivateToIt(t *testing.T) {
	lean, fat := child(t, "eat 1"), child(t, "eat 65")
	for name, measure := range map[string]func(int) (int64, error){"PrivateMemory": PrivateMemory, "PSS": PSS} {
		before, err1 := measure(lean.Process.Pid)
		after, err2 := measure(fat.Process.Pid)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if grown := after - before; grown < 60*mib || grown > 80*mib {
			t.Errorf("%s: 64 MiB more are measured as %d bytes more", name, grown)
		}
	}
}

// A Go program's own text is shared by all its processes.
func TestSharedPagesAreNotPrivate(t *testing.T) {
	one := child(t, "eat 1")
	child(t, "eat 1")
	private, err1 := PrivateMemory(one.Process.Pid)
	shared, err2 := PSS(one.Process.Pid)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if private >= shared {
		t.Errorf("private %d >= proportional share %d", private, shared)
	}
}

func TestATreeWeighsAsMuchAsItsMembers(t *testing.T) {
	parent := child(t, "parent eat 32")
	children, err := Children(parent.Process.Pid)
	if err != nil || len(children) != 1 {
		t.Fatalf("children %v, %v; want one", children, err)
	}
	tree, err := TreeMemory(parent.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	own, err1 := PSS(parent.Process.Pid)
	its, err2 := PSS(children[0])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	// The garbage collectors of both go on between two measurements.
	if its < 32*mib || tree < (own+its)*8/10 || tree > (own+its)*12/10 {
		t.Errorf("tree %d, parent %d, child %d", tree, own, its)
	}
}

func TestAProcessThatHasEndedIsNotMeasured(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	var info unix.Siginfo // look at the end, leave the zombie
	if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := PrivateMemory(pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("zombie: %d, %v; want process done", n, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if n, err := PrivateMemory(pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("reaped: %d, %v; want process done", n, err)
	}
	if _, err := Children(pid); err == nil {
		t.Error("children of nobody: no error")
	}
}

func TestWithoutARollupStatmIsTaken(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "7/statm"), "50000 3000 1000 700 0 2500 0\n")
	n, err := measure(root, 7, parsePrivate)
	if want := int64(2000 * os.Getpagesize()); err != nil || n != want {
		t.Errorf("%d, %v; want %d", n, err, want)
	}
	write(t, filepath.Join(root, "8/statm"), "nonsense\n")
	if _, err := measure(root, 8, parsePrivate); err == nil || errors.Is(err, os.ErrProcessDone) {
		t.Errorf("unreadable: %v, want an error that does not say it ended", err)
	}
}

func TestARollupIsAddedUp(t *testing.T) {
	text := []byte(strings.Join([]string{
		"5611a7282000-7ffeb5af6000 ---p 00000000 00:00 0                          [rollup]",
		"Rss:                1772 kB", "Pss:                 368 kB", "Pss_Dirty:           112 kB",
		"Shared_Clean:       1432 kB", "Private_Clean:        88 kB", "Private_Dirty:       112 kB",
		"Shared_Hugetlb:        0 kB", "Private_Hugetlb:    2048 kB", "SwapPss:              50 kB",
	}, "\n"))
	if n, ok := parsePrivate(text); !ok || n != (88+112+2048)<<10 {
		t.Errorf("private %d, %v", n, ok)
	}
	if n, ok := parsePSS(text); !ok || n != 368<<10 {
		t.Errorf("pss %d, %v", n, ok)
	}
	if n, ok := parsePrivate([]byte("Rss: 1 kB")); ok {
		t.Errorf("nothing private in it, and %d found", n)
	}
}

func TestChildrenAreFoundInStatToo(t *testing.T) {
	parent := child(t, "parent eat 1")
	quick, err1 := childrenFromTasks(parent.Process.Pid)
	slow, err2 := childrenFromStat(parent.Process.Pid)
	if err1 != nil || err2 != nil || len(quick) != 1 || !slices.Equal(quick, slow) {
		t.Errorf("%v, %v; %v, %v", quick, err1, slow, err2)
	}
	if got := parentOf("42 (a) b (c)) S 17 42 42 0"); got != 17 {
		t.Errorf("parent %d of a process with a nasty name", got)
	}
}

func TestTheOOMScoreOfAChildIsRaised(t *testing.T) {
	pid := child(t, "eat 1").Process.Pid
	if err := SetOOMScoreAdj(pid, 500); err != nil {
		t.Fatal(err)
	}
	if got := readText(filepath.Join("/proc", strconv.Itoa(pid)), "oom_score_adj"); got != "500" {
		t.Errorf("oom_score_adj %q", got)
	}
	if err := SetOOMScoreAdj(pid, 5000); err == nil {
		t.Error("out of range: no error")
	}
}

func TestTheTitleIsThatOfTheWholeProcess(t *testing.T) {
	old := readText("/proc/self", "comm")
	defer func() { _ = Title(old) }()
	if err := Title("crisper: a long title"); err != nil {
		t.Fatal(err)
	}
	if got := readText("/proc/self", "comm"); got != "crisper: a long" {
		t.Errorf("title %q", got)
	}
}

func BenchmarkPrivateMemory(b *testing.B) {
	for _, size := range []string{"1", "16", "256"} {
		b.Run("of_"+size+"_MiB", func(b *testing.B) {
			pid := child(b, "eat "+size).Process.Pid
			b.ReportAllocs()
			for b.Loop() {
				if _, err := PrivateMemory(pid); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUsage(b *testing.B) {
	c, err := OpenCgroup("", "")
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Usage(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAMeterFollowsARealProcess(t *testing.T) {
	pid := child(t, "eat 32").Process.Pid
	m := NewMeter()
	exact := m.Private([]int{pid})[pid]
	estimate := m.Private([]int{pid})[pid]
	if exact < 32*mib || estimate < exact-4*mib || estimate > exact+4*mib {
		t.Errorf("exact %d, at once after it %d", exact, estimate)
	}
}

func BenchmarkMeter(b *testing.B) {
	pids := []int{child(b, "eat 64").Process.Pid, child(b, "eat 64").Process.Pid}
	m := NewMeter()
	b.ReportAllocs()
	for b.Loop() {
		if len(m.Private(pids)) != 2 {
			b.Fatal("not measured")
		}
	}
}
