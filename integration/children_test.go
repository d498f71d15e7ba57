//go:build integration

package integration

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
	"crisper/supervisor/ops"
)

func TestAChildIsReplacedAfterItsTasks(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	s.Crisper(t, "-c", "1", "--max-tasks-per-child", "5", "--jitter", "0")
	ids := harness.Got(s.Client.Bulk(harness.T("tick"), 23))(t)
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), ids...))
	perChild := map[int]int{}
	for _, e := range harness.Got(s.Journal.Entries())(t) {
		if e.Event == "start" {
			perChild[e.PID]++
		}
	}
	for pid, n := range perChild {
		if n > 5 {
			t.Errorf("child %d ran %d tasks", pid, n)
		}
	}
	if len(perChild) != 5 {
		t.Errorf("23 tasks were run by %d children, want 5: %v", len(perChild), perChild)
	}
	ranOnce(t, s, ids)
}

func TestAChildIsReplacedAboveItsMemory(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "1", "--max-memory-per-child", "60000", "--jitter", "0")
	var before map[string]int
	harness.Must(t, s.Client.Eval(`whoami.delay().get(timeout=90)`, &before))
	id := s.Send(t, harness.T("leak", 100))
	if r := s.Result(t, id); r.State != "SUCCESS" {
		t.Fatalf("leak ended as %s (%s)", r.State, r.Text())
	}
	ctx := harness.Deadline(t, 20*time.Second)
	harness.Must(t, w.UntilState(ctx, "another child", func(o ops.State) bool {
		return len(o.Slots) == 1 && o.Slots[0].PID != before["pid"] && o.Slots[0].State == "ready"
	}))
	told(t, w, "max_memory")
}

func TestAChildIsReplacedAboveItsAge(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "1", "--max-age-per-child", "2s", "--jitter", "0")
	first := harness.Got(w.State(harness.Deadline(t, time.Second)))(t).Slots[0].PID
	harness.Must(t, w.UntilState(harness.Deadline(t, 20*time.Second), "another child", func(o ops.State) bool {
		return len(o.Slots) == 1 && o.Slots[0].PID != first && o.Slots[0].State == "ready"
	}))
	told(t, w, "max_age")
}

func TestATaskThatGrowsTooLargeTakesItsChildAndNotTheOthers(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "2", "--memory-kill-per-child", "120000", "--jitter", "0")
	sibling := started(t, s, harness.T("sleepy", 4))
	id := s.Send(t, harness.T("hog", 1500, 20))
	r := s.Result(t, id)
	if r.State != "FAILURE" || !contains(r.Text(), "WorkerLostError", "memory") {
		t.Errorf("the hog ended as %s: %s", r.State, r.Text())
	}
	told(t, w, "oom")
	if r := s.Result(t, sibling); r.State != "SUCCESS" {
		t.Errorf("its sibling ended as %s: %s", r.State, r.Text())
	}
}

func TestTheKernelsKillInARealCgroupCostsOneTask(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	group, err := s.MakeCgroup(256 << 20)
	if errors.Is(err, harness.ErrNoCgroup) {
		t.Skip(err)
	}
	harness.Must(t, err)
	// The guard is off: it would be faster than the kernel.
	w, err := s.StartCrisperIn(group, s.App, "-c", "3", "--guard-hard", "0", "--guard-soft", "0")
	harness.Must(t, err)
	harness.Must(t, w.WaitReady(harness.Deadline(t, 30*time.Second)))
	early, late := started(t, s, harness.T("sleepy", 6)), started(t, s, harness.T("sleepy_late", 6))
	id := s.Send(t, harness.T("hog", 1000, 20))
	if r := s.Result(t, id); r.State != "FAILURE" || !contains(r.Text(), "WorkerLostError") {
		t.Errorf("the hog ended as %s: %s", r.State, r.Text())
	}
	if kills := harness.Got(group.OOMKills())(t); kills == 0 {
		t.Error("the kernel killed nothing")
	}
	for _, sibling := range []string{early, late} {
		if r := s.Result(t, sibling); r.State != "SUCCESS" {
			t.Errorf("a sibling ended as %s: %s", r.State, r.Text())
		}
	}
	ranOnce(t, s, []string{early, late})
	evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
}

func TestTheGuardTakesTheFattestChildBeforeTheKernelDoes(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	group, err := s.MakeCgroup(400 << 20)
	if errors.Is(err, harness.ErrNoCgroup) {
		t.Skip(err)
	}
	harness.Must(t, err)
	w, err := s.StartCrisperIn(group, s.App, "-c", "2", "--guard-hard", "0.8", "--guard-soft", "0.7")
	harness.Must(t, err)
	harness.Must(t, w.WaitReady(harness.Deadline(t, 30*time.Second)))
	sibling := started(t, s, harness.T("sleepy", 5))
	id := s.Send(t, harness.T("hog", 1000, 20, 1, 0.02))
	if r := s.Result(t, id); r.State != "FAILURE" || !contains(r.Text(), "WorkerLostError") {
		t.Errorf("the hog ended as %s: %s", r.State, r.Text())
	}
	if kills := harness.Got(group.OOMKills())(t); kills != 0 {
		t.Errorf("the kernel was faster: %d kills", kills)
	}
	told(t, w, "oom")
	if r := s.Result(t, sibling); r.State != "SUCCESS" {
		t.Errorf("its sibling ended as %s: %s", r.State, r.Text())
	}
}

func TestADeadZygoteCostsNoTask(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "2")
	running := started(t, s, harness.T("sleepy", 4))
	ctx := harness.Deadline(t, 40*time.Second)
	zygote := harness.Got(w.State(ctx))(t).Zygotes[0]
	harness.Must(t, syscall.Kill(zygote.PID, syscall.SIGKILL))
	harness.Must(t, w.UntilState(ctx, "the next generation", func(o ops.State) bool {
		for _, z := range o.Zygotes {
			if z.Generation > zygote.Generation && z.State == "ready" {
				return true
			}
		}
		return false
	}))
	if r := s.Result(t, running); r.State != "SUCCESS" {
		t.Errorf("the task that ran meanwhile ended as %s: %s", r.State, r.Text())
	}
	s.Result(t, s.Send(t, harness.T("crash"))) // a new child comes from the new generation
	evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
	ranOnce(t, s, []string{running})
}

func TestAMessageThatKeepsKillingChildrenIsParked(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "2", "--poison-limit", "3")
	id := s.Send(t, harness.T("crash_lost"))
	r := s.Result(t, id)
	if r.State != "FAILURE" || !contains(r.Text(), "parked", "3 children") {
		t.Errorf("the poison ended as %s: %s", r.State, r.Text())
	}
	if runs := harness.Got(s.Journal.Tasks())(t)[id]; runs.Starts != 3 {
		t.Errorf("it ran %d times, want 3", runs.Starts)
	}
	isEmpty(t, s)
	ctx := harness.Deadline(t, 10*time.Second)
	var dead int64
	for _, key := range harness.Got(s.Redis.Client.Keys(ctx, "*dead*").Result())(t) {
		dead += s.Redis.Client.LLen(ctx, key).Val()
	}
	if dead != 1 {
		t.Errorf("%d messages are in the dead-letter list", dead)
	}
	if state := harness.Got(w.State(ctx))(t); state.Tasks.Parked != 1 {
		t.Errorf("%d parked messages are counted", state.Tasks.Parked)
	}
	evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
}

func TestADeadChildIsNoticedWithinMilliseconds(t *testing.T) {
	s := harness.NewStage(t, harness.Options{})
	s.Crisper(t, "-c", "1")
	evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
	id := started(t, s, harness.T("sleepy", 30))
	pid := harness.Got(s.Journal.Tasks())(t)[id].Entries[0].PID
	next := s.Send(t, harness.T("tick"))
	killed, busy := time.Now(), harness.WatchBusy()
	harness.Must(t, syscall.Kill(pid, syscall.SIGKILL))
	harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 60*time.Second), next))
	took := harness.Got(s.Journal.Tasks())(t)[next].Entries[0].At().Sub(killed)
	t.Logf("the next task began %v after the kill", took)
	if took > busy.Stretch(time.Second) {
		t.Errorf("the next task began %v after the kill", took)
	}
}

// manners are tasks that no worker should let near its other tasks.
var manners = []struct {
	name string
	task harness.Task
	want string // state, and what the result says
	says string
}{
	{"os._exit", harness.T("crash", 7), "FAILURE", "WorkerLostError"},
	{"os._exit(0)", harness.T("crash", 0), "FAILURE", "WorkerLostError"},
	{"SystemExit", harness.T("leave"), "FAILURE", "WorkerLostError"},
	{"a segmentation fault", harness.T("die", 11), "FAILURE", "WorkerLostError"},
	{"a fork that lingers", harness.T("fork_and_linger", 3), "SUCCESS", ""},
	{"a gigabyte printed", harness.T("chatter", 1024), "SUCCESS", "1024"},
	{"every descriptor closed", harness.T("close_descriptors"), "FAILURE", "Error"},
}

func TestATaskWithBadMannersCostsItsOwnChildAtMost(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	a := s.App
	// What the tasks print goes into the bit bucket: a gigabyte is not for a log.
	a.Env = []string{"SAMPLE_QUIET=1"}
	w, err := s.StartCrisper(a, "-c", "2")
	harness.Must(t, err)
	harness.Must(t, w.WaitReady(harness.Deadline(t, 30*time.Second)))
	for _, row := range manners {
		t.Run(row.name, func(t *testing.T) {
			sibling := started(t, s, harness.T("sleepy", 1))
			id := s.Send(t, row.task)
			r := harness.Got(s.Client.Results(5*time.Minute, id))(t)[id] // a gigabyte takes its time
			if r.State != row.want || !contains(r.Text(), row.says) {
				t.Errorf("it ended as %s (%s), want %s with %q", r.State, r.Text(), row.want, row.says)
			}
			if r := s.Result(t, sibling); r.State != "SUCCESS" {
				t.Errorf("its sibling ended as %s (%s)", r.State, r.Text())
			}
			evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
		})
	}
	isEmpty(t, s)
}

func TestAutoscaleGrowsWithWorkAndShrinksWithoutCuttingATask(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "--autoscale", "4,1")
	ids := make([]string, 0, 8)
	for range 8 {
		ids = append(ids, s.Send(t, harness.T("sleepy", 1)))
	}
	ctx := harness.Deadline(t, 60*time.Second)
	harness.Must(t, w.UntilState(ctx, "four busy slots", func(o ops.State) bool {
		busy := 0
		for _, slot := range o.Slots {
			if slot.State == "busy" {
				busy++
			}
		}
		return busy == 4
	}))
	harness.Must(t, s.Journal.UntilEnded(ctx, ids...))
	ranOnce(t, s, ids)
}

// ranOnce fails for each task that was lost or ran twice.
func ranOnce(t *testing.T, s *harness.Stage, ids []string) {
	t.Helper()
	v := harness.Got(s.Journal.Judge(ids))(t)
	if len(v.Lost) > 0 || len(v.Doubled) > 0 {
		t.Errorf("of %d tasks %d were lost %v and %d ran twice %v", v.Tasks, len(v.Lost), v.Lost, len(v.Doubled), v.Doubled)
	}
}

// told fails unless the worker's history has this reason.
func told(t *testing.T, w *harness.Worker, reason string) {
	t.Helper()
	state := harness.Got(w.State(harness.Deadline(t, 5*time.Second)))(t)
	var all []string
	for _, line := range state.Log {
		if line.Reason == reason {
			return
		}
		all = append(all, fmt.Sprintf("%s→%s %s", line.From, line.To, line.Reason))
	}
	t.Errorf("the history does not tell of %s: %s", reason, strings.Join(all, ", "))
}
