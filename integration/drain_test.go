//go:build integration

package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/integration/harness"
	"crisper/supervisor/ops"
)

func TestAnIdleWorkerLeavesAtOnce(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			s := harness.NewStage(t, harness.Options{})
			w := s.Crisper(t, "-c", "2")
			told, busy := time.Now(), harness.WatchBusy()
			code, at := leaves(t, w, sig)
			if code != 0 || at.Sub(told) > busy.Stretch(time.Second) {
				t.Errorf("exit code %d after %v", code, at.Sub(told))
			}
		})
	}
}

func TestTheWorkerLeavesTheMomentItsLastTaskEnds(t *testing.T) {
	for _, name := range []string{"sleepy", "sleepy_late"} {
		t.Run(name, func(t *testing.T) {
			// The best of a few: a busy machine delays one exit, not each of them.
			const promised = 100 * time.Millisecond
			for try := 1; ; try++ {
				took, allowed := leavesAfter(t, name, promised)
				t.Logf("left %v after the task's end, %v is %v on this machine", took, promised, allowed)
				if took <= allowed {
					break
				}
				if try == 5 {
					t.Fatalf("left %v after the last task's end, the fifth time too late", took)
				}
			}
		})
	}
}

// leavesAfter is how long a worker stays after the end of its only task, and how long
// what is promised is on a machine as busy as this one.
func leavesAfter(t *testing.T, name string, promised time.Duration) (took, allowed time.Duration) {
	t.Helper()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "2")
	id := started(t, s, harness.T(name, 1.5))
	busy := harness.WatchBusy()
	code, at := leaves(t, w, syscall.SIGTERM)
	allowed = busy.Stretch(promised)
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	if r := s.Result(t, id); r.State != "SUCCESS" {
		t.Errorf("the task ended as %s", r.State)
	}
	isEmpty(t, s)
	return at.Sub(ended(t, s, id)), allowed
}

func TestWhatHasNotBegunGoesBackAtOnceAndInOrder(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "1")
	later := s.Send(t, harness.T("tick").With("countdown", 60))
	running := started(t, s, harness.T("sleepy", 2))
	var waiting []string
	for range 3 {
		waiting = append(waiting, s.Send(t, harness.T("tick")))
	}
	ctx := harness.Deadline(t, 20*time.Second)
	harness.Must(t, w.UntilState(ctx, "four deliveries in reserve", func(o ops.State) bool {
		return o.Deliveries.Reserved+o.Deliveries.Queued == 3 && o.Deliveries.Scheduled == 1
	}))
	harness.Must(t, w.Signal(syscall.SIGTERM))
	harness.Must(t, harness.Until(ctx, "all four to be back", func() bool {
		n, err := s.Redis.Queued(ctx, "default")
		return err == nil && n == 4
	}))
	if tasks := harness.Got(s.Journal.Tasks())(t); tasks[running].Ends != 0 {
		t.Error("they came back only after the running task had ended")
	}
	if _, _, err := w.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	got := harness.Got(s.Redis.IDs(ctx, "default"))(t)
	if diff := cmp.Diff(append([]string{later}, waiting...), got); diff != "" {
		t.Errorf("the queue, next first (-want +got)\n%s", diff)
	}
}

func TestReadinessEndsWhenTheDrainBeginsAndLivenessDoesNot(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "1")
	started(t, s, harness.T("sleepy", 2))
	ctx := harness.Deadline(t, 20*time.Second)
	harness.Must(t, w.Signal(syscall.SIGTERM))
	harness.Must(t, harness.Until(ctx, "/readyz to say no", func() bool {
		code, _, err := w.Get(ctx, "/readyz")
		return err == nil && code == http.StatusServiceUnavailable
	}))
	if code, body, err := w.Get(ctx, "/livez"); err != nil || code != http.StatusOK {
		t.Errorf("/livez while draining: %d %s %v", code, body, err)
	}
}

// cutoffs: what becomes of a task that is still running when its time is over.
var cutoffs = []struct {
	name    string
	task    string
	args    []string
	signals []syscall.Signal
	code    int
	state   string // in the backend
	queued  int    // messages that went back
}{
	{"an early task fails when the grace ends", "sleepy", []string{"--grace", "3"}, []syscall.Signal{syscall.SIGTERM}, 0, "FAILURE", 0},
	{"an early task goes back when the user wants it so", "sleepy", []string{"--grace", "3", "--on-cutoff", "requeue"}, []syscall.Signal{syscall.SIGTERM}, 0, "PENDING", 1},
	{"a late task goes back when the grace ends", "sleepy_late", []string{"--grace", "3"}, []syscall.Signal{syscall.SIGTERM}, 0, "PENDING", 1},
	{"a second TERM hurries an early task", "sleepy", nil, []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, 0, "FAILURE", 0},
	{"a second TERM hurries a late task", "sleepy_late", nil, []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, 0, "PENDING", 1},
	{"a second INT is a cold shutdown", "sleepy_late", nil, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 1, "PENDING", 1},
	{"QUIT is a cold shutdown", "sleepy_late", nil, []syscall.Signal{syscall.SIGQUIT}, 1, "PENDING", 1},
	{"QUIT fails an early task", "sleepy", nil, []syscall.Signal{syscall.SIGQUIT}, 1, "FAILURE", 0},
}

func TestATaskThatIsCutOffIsNeverSilentlyGone(t *testing.T) {
	t.Parallel()
	for i := range cutoffs {
		t.Run(cutoffs[i].name, func(t *testing.T) {
			t.Parallel()
			for try := 1; ; try++ {
				wrong, starved := cutOff(t, i)
				if len(wrong) == 0 {
					return
				}
				// Half a second of this grace is for what was cut off. Where many want each
				// processor that may be not enough, and peers restore it, as the log says.
				if !starved || try == 3 {
					t.Fatal(strings.Join(wrong, "; "))
				}
				t.Logf("%s, on a machine that had no time for us; once more", strings.Join(wrong, "; "))
			}
		})
	}
}

// cutOff plays a row and says what was wrong, and whether we were starved meanwhile.
func cutOff(t *testing.T, i int) (wrong []string, starved bool) {
	t.Helper()
	row := cutoffs[i]
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, append([]string{"-c", "1"}, row.args...)...)
	id := started(t, s, harness.T(row.task, 120))
	told, busy := time.Now(), harness.WatchBusy()
	for i, sig := range row.signals {
		if i > 0 { // signals coalesce: the next is sent when the first was seen
			harness.Got(w.WaitLog(harness.Deadline(t, 10*time.Second), "Warm shutdown"))(t)
		}
		harness.Must(t, w.Signal(sig))
	}
	code, at, err := w.Wait(harness.Deadline(t, 20*time.Second))
	harness.Must(t, err)
	const soon = 5 * time.Second
	allowed := busy.Stretch(soon)
	t.Logf("left after %v", at.Sub(told))
	say := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	say(code != row.code || at.Sub(told) > allowed, "exit code %d after %v, want %d", code, at.Sub(told), row.code)
	r := harness.Got(s.Client.Results(0, id))(t)[id]
	say(r.State != row.state, "the task ended as %s (%s), want %s", r.State, r.Text(), row.state)
	queued := harness.Got(s.Redis.Queued(harness.Deadline(t, time.Second), "default"))(t)
	say(queued != row.queued, "%d messages went back, want %d", queued, row.queued)
	n := harness.Got(s.Redis.Unacked(harness.Deadline(t, time.Second)))(t)
	say(n != 0, "%d deliveries were left unsettled", n)
	return wrong, allowed > 3*soon
}

func TestHangupLoadsTheAppAgainAndCutsNoTask(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "2")
	long := started(t, s, harness.T("sleepy", 4))
	before := harness.Got(w.State(harness.Deadline(t, time.Second)))(t)
	harness.Must(t, w.Signal(syscall.SIGHUP))
	ctx := harness.Deadline(t, 40*time.Second)
	harness.Must(t, w.UntilState(ctx, "all children to be of the second generation", func(o ops.State) bool {
		for _, slot := range o.Slots {
			if slot.Generation != 2 || slot.State != "ready" && slot.State != "busy" {
				return false
			}
		}
		return len(o.Slots) == len(before.Slots)
	}))
	if r := s.Result(t, long); r.State != "SUCCESS" {
		t.Errorf("the task that ran over the reload ended as %s (%s)", r.State, r.Text())
	}
	evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
}

func TestAnAppThatNeedsAnotherRuntimeByNowDoesNotReplaceTheOneThatRuns(t *testing.T) {
	t.Parallel()
	for runtime, says := range map[string]string{
		"auto":   "it needs Celery's own worker by now, --runtime=celery: the app adds worker bootsteps: grown:Step",
		"native": "cannot run this app natively: the app adds worker bootsteps: grown:Step",
	} {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			s := harness.NewStage(t, harness.Options{})
			module := s.Path("grown.py")
			const plain = "from sample import app\n"
			harness.Must(t, os.WriteFile(module, []byte(plain), 0o644))
			s.App.Name = "grown"
			s.App.Env = []string{"PYTHONPATH=" + filepath.Dir(module) + ":" + filepath.Join(s.Root, "integration", "sample")}
			w := s.Crisper(t, "-c", "1", "--runtime", runtime)
			const step = plain + "from celery import bootsteps\nclass Step(bootsteps.Step):\n    pass\napp.steps['worker'].add(Step)\n"
			harness.Must(t, os.WriteFile(module, []byte(step), 0o644))
			harness.Must(t, w.Signal(syscall.SIGHUP))
			ctx := harness.Deadline(t, 60*time.Second)
			harness.Must(t, w.UntilState(ctx, "the reload that failed", func(o ops.State) bool { return strings.Contains(o.ReloadError, says) }))
			harness.Must(t, harness.Until(ctx, "the line that says so", func() bool { return contains(w.LogText(), "restart the worker to have the change", says) }))
			_, metrics, err := w.Get(ctx, "/metrics")
			harness.Must(t, err)
			if !strings.Contains(metrics, "crisper_reloads_failed_total 1") {
				t.Error("crisper_reloads_failed_total is not 1")
			}
			evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
			// What can be taken over is taken over afterwards.
			harness.Must(t, os.WriteFile(module, []byte(plain+"# changed\n"), 0o644))
			harness.Must(t, w.Signal(syscall.SIGHUP))
			harness.Must(t, w.UntilState(ctx, "a child of the third generation", func(o ops.State) bool {
				return o.ReloadError == "" && len(o.Slots) == 1 && o.Slots[0].Generation == 3 && o.Slots[0].State == "ready"
			}))
			evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
		})
	}
}

func TestUser1DumpsTheStateAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "1")
	id := started(t, s, harness.T("sleepy", 2))
	harness.Must(t, w.Signal(syscall.SIGUSR1))
	ctx := harness.Deadline(t, 10*time.Second)
	harness.Must(t, harness.Until(ctx, "the dump", func() bool { return strings.Contains(w.LogText(), id) && strings.Contains(w.LogText(), `"slots"`) }))
	if r := s.Result(t, id); r.State != "SUCCESS" {
		t.Errorf("the task ended as %s", r.State)
	}
}

func TestDrainAndStateThroughTheSocket(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "1")
	id := started(t, s, harness.T("sleepy", 2))
	ctx := harness.Deadline(t, 20*time.Second)
	out, code, err := s.Run(ctx, harness.Command{Name: "state", Args: []string{s.Binary, "state", "--socket", w.Socket}})
	harness.Must(t, err)
	if code != 0 || !contains(out, "sample.sleepy") {
		t.Errorf("crisper state ended with %d:\n%s", code, out)
	}
	_, code, err = s.Run(ctx, harness.Command{Name: "drain", Args: []string{s.Binary, "drain", "--socket", w.Socket}})
	harness.Must(t, err)
	if code != 0 {
		t.Errorf("crisper drain ended with %d", code)
	}
	if code, _, err := w.Wait(ctx); err != nil || code != 0 {
		t.Errorf("after the drain the worker ended with %d, %v", code, err)
	}
	if r := s.Result(t, id); r.State != "SUCCESS" {
		t.Errorf("the task ended as %s", r.State)
	}
}

// started sends a task and waits until it runs.
func started(t *testing.T, s *harness.Stage, task harness.Task) string {
	t.Helper()
	id := s.Send(t, task)
	harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), id))
	return id
}

// ended is when a task wrote its end.
func ended(t *testing.T, s *harness.Stage, id string) time.Time {
	t.Helper()
	for _, e := range harness.Got(s.Journal.Tasks())(t)[id].Entries {
		if e.Event == "end" {
			return e.At()
		}
	}
	t.Fatalf("task %s has not ended", id)
	return time.Time{}
}

// leaves sends a signal and waits for the worker's exit.
func leaves(t *testing.T, w *harness.Worker, sig syscall.Signal) (code int, at time.Time) {
	t.Helper()
	harness.Must(t, w.Signal(sig))
	code, at, err := w.Wait(harness.Deadline(t, 30*time.Second))
	harness.Must(t, err)
	return code, at
}
