//go:build integration

package integration

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
	"crisper/supervisor/ops"
)

// pooled is a running `crisper exec options… -- command… -A sample worker args…`, all of
// whose workers are ready.
func pooled(t *testing.T, s *harness.Stage, options []string, command []string, args ...string) *wrapped {
	t.Helper()
	line := append(append(slices.Clone(command), "-A", "sample", "worker", "-l", "INFO"), args...)
	e := execute(t, s.Bed, nil, append([]string{"env"}, s.Env(s.App)...), options, line...)
	w := &wrapped{Worker: e.Worker, t: t, marker: e.marker}
	w.ready()
	w.until("all to be ready", func(ops.State) bool { return true })
	return w
}

func script(s *harness.Stage) []string {
	return []string{filepath.Join(filepath.Dir(s.Python), "celery")}
}

// changes are the transitions of slots in the log, in their order.
func (w *wrapped) changes() (all []ops.TransitionState) {
	w.t.Helper()
	for line := range strings.Lines(w.LogText()) {
		var change struct {
			ops.TransitionState
			Message string `json:"message"`
		}
		if json.Unmarshal([]byte(line), &change) == nil && change.Message == "slot" {
			all = append(all, change.TransitionState)
		}
	}
	return all
}

// trickle sends a task now and then until a state is reached, so that somebody has to
// take at every moment.
func (w *wrapped) trickle(s *harness.Stage, yes func(ops.State) bool) (ids []string) {
	w.t.Helper()
	for ctx := harness.Deadline(w.t, 60*time.Second); ctx.Err() == nil; {
		ids = append(ids, s.Send(w.t, harness.T("tick")))
		if yes(harness.Got(w.State(ctx))(w.t)) {
			return ids
		}
		time.Sleep(20 * time.Millisecond) // the rate is what is wanted
	}
	w.t.Fatalf("not reached within %d tasks: %v", len(ids), w.changes())
	return nil
}

// starting counts the workers that are not ready yet.
func (w *wrapped) starting() (n int) {
	for _, c := range w.changes() {
		switch "starting" {
		case c.To:
			n++
		case c.From:
			n--
		}
	}
	return n
}

// restoring is what Celery says of the messages that it puts back when it leaves.
var restoring = regexp.MustCompile(`Restoring (\d+) unacknowledged`)

// ran fails the test unless each of the tasks has run, and once: but for those that
// Celery put back itself. In a warm shutdown its own worker, without us, sometimes
// neither hears that its pool has begun a task nor ends within half a minute, and then
// restores the message of what has run.
func (w *wrapped) ran(s *harness.Stage, ids ...string) {
	w.t.Helper()
	harness.Must(w.t, s.Journal.UntilEnded(harness.Deadline(w.t, 60*time.Second), ids...))
	restored := 0
	for _, found := range restoring.FindAllStringSubmatch(w.LogText(), -1) {
		restored += harness.Got(strconv.Atoi(found[1]))(w.t)
	}
	if v := harness.Got(s.Journal.Judge(ids))(w.t); len(v.Lost) > 0 || len(v.Doubled) > restored {
		w.t.Errorf("lost %v, doubled %v, restored by Celery %d", v.Lost, v.Doubled, restored)
	}
}

// others says whether both slots have other children than those in a state before.
func others(before ops.State) func(ops.State) bool {
	return func(now ops.State) bool {
		for i := range now.Slots {
			if pid := now.Slots[i].PID; pid == 0 || pid == before.Slots[i].PID {
				return false
			}
		}
		return true
	}
}

func TestAPrefixedPoolIsRecycledWithNoTaskLostAndTheReplacementReadyFirst(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := pooled(t, s, []string{"--children", "2", "--surge", "2", "--max-tasks-per-child", "30", "--jitter", "0"}, script(s), "-c", "2")
	before := harness.Got(w.State(harness.Deadline(t, 5*time.Second)))(t)
	if before.Runtime != "celery" || before.App != "sample" || len(before.Slots) != 2 {
		t.Fatalf("not a pool of two workers: %+v", before)
	}
	replaced := others(before)
	w.ran(s, w.trickle(s, func(now ops.State) bool {
		// A start may take longer than any before it, on a machine that others use, too:
		// no worker is given its last tasks meanwhile.
		harness.Must(t, harness.Until(harness.Deadline(t, 30*time.Second), "all to be ready", func() bool { return w.starting() == 0 }))
		return replaced(now)
	})...)
	// Of the first two: the replacements take tasks at once, beside the old ones, and may
	// have had their own number before the old ones have gone and given their room to others.
	ready, left := map[int]int{}, 0
	for _, c := range w.changes() {
		switch {
		case c.From == "starting" && c.To == "ready":
			ready[c.Slot]++
		case c.Child <= 2 && c.To == "draining" && c.Reason == "max_tasks":
			left++
			if ready[c.Slot] < 2 {
				t.Errorf("child %d of slot %d left before its replacement was ready", c.Child, c.Slot)
			}
		}
	}
	if left != 2 {
		t.Errorf("%d workers were replaced for their tasks: %v", left, w.changes())
	}
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestAPrefixedPoolFinishesWhatItRunsAndEndsWith0(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := pooled(t, s, []string{"--children", "2"}, script(s), "-c", "1")
	ids := []string{s.Send(t, harness.T("sleepy", 5)), s.Send(t, harness.T("sleepy", 5))}
	harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), ids...))
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
	w.ran(s, ids...)
}

func TestAPrefixedPoolIsReloadedChildByChildAndNoTaskIsCut(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := pooled(t, s, []string{"--children", "2"}, script(s), "-c", "1")
	before := harness.Got(w.State(harness.Deadline(t, 5*time.Second)))(t)
	long := s.Send(t, harness.T("sleepy", 6))
	harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), long))
	harness.Must(t, w.Signal(syscall.SIGHUP))
	w.ran(s, append(w.trickle(s, others(before)), long)...)
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestWhatStandsBehindThePrefixIsCelerysOwn(t *testing.T) {
	t.Parallel()
	eachCelery(t, func(t *testing.T, o harness.Options) {
		s := harness.NewStage(t, o)
		s.App.Env = append(s.App.Env, "CELERY_WORKER_HOSTNAME=nobody@%h")
		w := pooled(t, s, []string{"--max-tasks-per-child", "1000"}, []string{s.Python, "-u", "-m", "celery"},
			"-En", "mail@%h", "-c1", "--max-tasks-per-child=1")
		first := w.slot(0).PID
		w.ran(s, harness.Got(s.Client.Bulk(harness.T("tick"), 4))(t)...)
		w.until("all tasks to be counted", func(o ops.State) bool { return o.Slots[0].TasksDone == 4 })
		if now := w.slot(0).PID; now != first {
			t.Errorf("the whole worker was replaced: %d, then %d", first, now)
		}
		if log := w.LogText(); !contains(log, "mail-0.1@", "ForkPoolWorker-4", "task events: ON") || strings.Contains(log, "nobody") {
			t.Error("the worker is not as it was written")
		}
		harness.Must(t, w.Signal(syscall.SIGTERM))
		w.ends(0)
	})
}
