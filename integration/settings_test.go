//go:build integration

package integration

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/integration/harness"
)

// sameUnderBoth compares what Celery's worker shows with what ours shows.
func sameUnderBoth[T any](t *testing.T, run func(t *testing.T, start starter) T) {
	t.Helper()
	shown := map[string]T{}
	underBoth(t, func(t *testing.T, start starter) { shown[t.Name()] = run(t, start) })
	for name, value := range shown {
		for other, another := range shown {
			if diff := cmp.Diff(value, another); diff != "" && name < other {
				t.Errorf("-%s +%s\n%s", name, other, diff)
			}
		}
	}
}

func TestMessagesThatWaitForTheirETAAreLimitedAsInCelery(t *testing.T) {
	t.Parallel()
	sameUnderBoth(t, func(t *testing.T, start starter) map[string]any {
		s := harness.NewStage(t, harness.Options{})
		s.App.Conf = map[string]any{"worker_eta_task_limit": 3}
		eval[any](t, s, "%s", prelude)
		start(s, t, "-c", "1", "--prefetch-multiplier", "1")
		for range 10 {
			s.Send(t, harness.T("echo", "later").With("countdown", 600))
		}
		held := func() (n int) {
			n, err := s.Redis.Unacked(t.Context())
			harness.Must(t, err)
			return n
		}
		harness.Must(t, harness.Until(harness.Deadline(t, 30*time.Second), "three messages that are held", func() bool { return held() >= 3 }))
		got := map[string]any{
			"scheduled": eval[int](t, s, `len(only(inspect.scheduled()))`),
			"prefetch":  eval[int](t, s, `only(inspect.stats())["prefetch_count"]`),
		}
		got["held"] = held()
		return got
	})
}

func TestRevokedTasksAreForgottenAsTheEnvironmentSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env   []string
		pause time.Duration
		want  int
	}{
		"the oldest beyond the limit":   {[]string{"CELERY_WORKER_REVOKES_MAX=3"}, 0, 3},
		"the old ones at the limit":     {[]string{"CELERY_WORKER_REVOKES_MAX=3", "CELERY_WORKER_REVOKE_EXPIRES=0.5"}, time.Second, 1},
		"none of any age below a limit": {[]string{"CELERY_WORKER_REVOKE_EXPIRES=0.5"}, time.Second, 5},
		"none at all without a limit":   {[]string{"CELERY_WORKER_REVOKES_MAX=0", "CELERY_WORKER_REVOKE_EXPIRES=0"}, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sameUnderBoth(t, func(t *testing.T, start starter) []string {
				s := prepared(t, harness.Options{})
				s.App.Env = c.env
				start(s, t, "-c", "1")
				for i := range 5 {
					if i == 4 {
						time.Sleep(c.pause) // time itself is the subject
					}
					eval[any](t, s, `only(app.control.revoke("task-%d", reply=True, limit=1))`, i)
				}
				ids := eval[[]string](t, s, `sorted(only(inspect.revoked()))`)
				if len(ids) != c.want {
					t.Errorf("%v are revoked", ids)
				}
				return ids
			})
		})
	}
}

func TestAnAutoscaledPoolShrinksAfterTheKeepaliveOfTheEnvironment(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := prepared(t, harness.Options{})
		s.App.Env = []string{"AUTOSCALE_KEEPALIVE=1"}
		w := start(s, t, "--autoscale", "3,1")
		var ids []string
		for range 3 {
			ids = append(ids, s.Send(t, harness.T("sleepy", 3)))
		}
		for _, id := range ids {
			s.Result(t, id)
		}
		busy, idle := harness.WatchBusy(), time.Now()
		if w.HTTP == "" {
			// Celery's count of children is not to be relied on: one that was let go while
			// its task ended may be replaced.
			harness.Got(w.WaitLog(harness.Deadline(t, 60*time.Second), `Scaling down \d processes`))(t)
		} else {
			harness.Must(t, harness.Until(harness.Deadline(t, 60*time.Second), "one child", func() bool {
				return eval[int](t, s, `len(only(inspect.stats())["pool"]["processes"])`) == 1
			}))
		}
		if took, most := time.Since(idle), busy.Stretch(25*time.Second); took > most { // a slot goes after 30 s by default
			t.Errorf("the pool shrank after %s, want less than %s", took, most)
		}
	})
}

func TestAVariableThatCeleryCannotReadKeepsTheWorkerFromStarting(t *testing.T) {
	t.Parallel()
	for variable, value := range map[string]string{
		"CELERY_WORKER_REVOKES_MAX": "many", "CELERY_WORKER_REVOKE_EXPIRES": "-1", "AUTOSCALE_KEEPALIVE": "soon",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			s := harness.NewStage(t, harness.Options{})
			s.App.Env = []string{variable + "=" + value}
			stock := harness.Got(s.StartStock(s.App))(t)
			if code, _, err := stock.Wait(harness.Deadline(t, 60*time.Second)); err != nil || code == 0 {
				_ = stock.Signal(syscall.SIGKILL)
				t.Errorf("Celery's worker started (%d, %v)", code, err)
			}
			w := harness.Got(s.StartCrisper(s.App))(t)
			code, _, err := w.Wait(harness.Deadline(t, 60*time.Second))
			harness.Must(t, err)
			if says := fmt.Sprintf("cannot understand %s=%s: give a number", variable, value); code != 2 || !strings.Contains(w.LogText(), says) {
				t.Errorf("exit code %d, and not %q:\n%s", code, says, w.LogText())
			}
		})
	}
}

func TestAPidfileOfAProcessThatRunsKeepsTheSecondWorkerOut(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	path := s.Path("worker.pid")
	harness.Must(t, os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644))
	for name, start := range map[string]func(harness.App, ...string) (*harness.Worker, error){"stock": s.StartStock, "crisper": s.StartCrisper} {
		w := harness.Got(start(s.App, "--pidfile", path))(t)
		code, _, err := w.Wait(harness.Deadline(t, 60*time.Second))
		harness.Must(t, err)
		says := fmt.Sprintf("ERROR: Pidfile (%s) already exists.\nSeems we're already running? (pid: %d)\n", path, os.Getpid())
		if code != 73 || !strings.Contains(w.LogText(), says) {
			t.Errorf("%s: exit code %d:\n%s", name, code, w.LogText())
		}
	}
}
