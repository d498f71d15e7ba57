//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/integration/harness"
)

// eval is one expression of the client.
func eval[T any](t *testing.T, s *harness.Stage, code string, args ...any) (value T) {
	t.Helper()
	harness.Must(t, s.Client.Eval(fmt.Sprintf(code, args...), &value))
	return value
}

func prepared(t *testing.T, options harness.Options) *harness.Stage {
	s := harness.NewStage(t, options)
	eval[any](t, s, "%s", prelude)
	return s
}

// running waits until a task is active.
func running(t *testing.T, s *harness.Stage, id string) {
	t.Helper()
	harness.Must(t, harness.Until(harness.Deadline(t, 30*time.Second), "a task that runs", func() bool {
		return eval[bool](t, s, `any(t["id"] == "%s" for t in only(inspect.active()))`, id)
	}))
}

func TestTerminatedTasksEndAsInCelery(t *testing.T) {
	t.Parallel()
	outcome := func(start func(*harness.Stage, *testing.T, ...string) *harness.Worker) any {
		s := prepared(t, harness.Options{})
		events := receive(t, s)
		start(s, t, "-c", "1", "-E")
		var all []any
		for _, signal := range []string{"SIGTERM", "SIGKILL"} {
			id := s.Send(t, harness.T("sleepy", 60))
			running(t, s, id)
			reply := eval[string](t, s, `only(app.control.revoke("%s", terminate=True, signal="%s", reply=True, limit=1))["ok"]`, id, signal)
			result := s.Result(t, id)
			var told []map[string]any
			harness.Must(t, harness.Until(harness.Deadline(t, 30*time.Second), "task-revoked", func() bool {
				told = story(events(), id)
				return len(told) > 2
			}))
			all = append(all, strings.ReplaceAll(reply, id, "ID"), result.State, result.Text(), told)
			// The next one runs in a new child.
			if r := s.Result(t, s.Send(t, harness.T("add", 1, 1))); r.State != "SUCCESS" {
				t.Errorf("after a termination: %+v", r)
			}
		}
		return all
	}
	if diff := cmp.Diff(outcome((*harness.Stage).Stock), outcome((*harness.Stage).Crisper)); diff != "" {
		t.Errorf("Celery (-) and Crisper (+) differ:\n%s", diff)
	}
}

// Each task is terminated just when it is about to end; whichever child runs the next
// one by then must not be hit.
func TestTerminatingNeverHitsAnotherTask(t *testing.T) {
	t.Parallel()
	s := prepared(t, harness.Options{})
	s.Crisper(t, "-c", "2", "--prefetch-multiplier", "8")
	code := `(lambda rs: [app.control.revoke(r.id, terminate=True, signal="SIGKILL") or __import__("time").sleep(0.012) for r in rs[::2]]
		and [(r.get(timeout=90, propagate=False), r.state)[1] for r in rs])([sleepy.delay(0.02) for _ in range(120)])`
	states := eval[[]string](t, s, "%s", code)
	count := map[string]int{}
	for i, state := range states {
		count[state]++
		if i%2 == 1 && state != "SUCCESS" {
			t.Errorf("task %d was not meant and is %s", i, state)
		}
		if state != "SUCCESS" && state != "REVOKED" {
			t.Errorf("task %d is %s", i, state)
		}
	}
	t.Logf("%v", count)
}

func TestRevokedTasksDoNotRun(t *testing.T) {
	t.Parallel()
	for _, worker := range workers {
		t.Run(worker.name, func(t *testing.T) {
			var options harness.Options
			if worker.old {
				options = harness.Old(t)
			}
			s := prepared(t, options)
			worker.start(s, t, "-c", "1")
			blocker := s.Send(t, harness.T("sleepy", 3))
			running(t, s, blocker)
			reserved := s.Send(t, harness.T("tick", 1))
			scheduled := s.Send(t, harness.T("tick", 2).With("countdown", 1))
			eval[any](t, s, `app.control.revoke(["%s", "%s"], reply=True, limit=1)`, reserved, scheduled)
			eval[any](t, s, `add.delay(1, 1).get(timeout=90)`)
			for _, id := range []string{reserved, scheduled} {
				harness.Must(t, harness.Until(harness.Deadline(t, 30*time.Second), "a log line", func() bool {
					return eval[bool](t, s, `all(i not in str(inspect.reserved()) + str(inspect.scheduled()) for i in ["%s"])`, id)
				}))
			}
			for _, line := range harness.Got(s.Journal.Entries())(t) {
				if line.ID == reserved || line.ID == scheduled {
					t.Errorf("a revoked task ran: %+v", line)
				}
			}
		})
	}
}

func TestStampedTasksAreRevoked(t *testing.T) {
	t.Parallel()
	s := prepared(t, harness.Options{})
	s.Crisper(t, "-c", "1")
	eval[any](t, s, `app.control.revoke_by_stamped_headers({"team": ["red"]}, reply=True, limit=1)`)
	code := `(lambda r: [type(r.get(timeout=90, propagate=False)).__name__, r.state])(echo.s(1).apply_async(stamped_headers=["team"], team="%s"))`
	if got := eval[[]any](t, s, code, "red"); fmt.Sprint(got) != "[TaskRevokedError REVOKED]" {
		t.Errorf("red: %v", got)
	}
	if got := eval[[]any](t, s, code, "blue"); fmt.Sprint(got) != "[int SUCCESS]" {
		t.Errorf("blue: %v", got)
	}
}

func TestWorkersTellEachOtherAtStartWhatIsRevoked(t *testing.T) {
	t.Parallel()
	s := prepared(t, harness.Options{})
	first := s.Stock(t, "-c", "1")
	eval[any](t, s, `app.control.revoke("from-stock", reply=True, limit=1)`)
	s.Crisper(t, "-c", "1", "-n", "second@%h")
	if ids := eval[[]string](t, s, `next(v for _ in range(5) for k, v in (app.control.inspect(timeout=3, limit=2).revoked() or {}).items() if "second" in k)`); fmt.Sprint(ids) != "[from-stock]" {
		t.Errorf("a Crisper worker learnt %v from a stock one", ids)
	}
	first.End()
	eval[any](t, s, `app.control.revoke("from-crisper", reply=True, limit=1)`)
	s.Stock(t, "-c", "1")
	if ids := eval[[]string](t, s, `sorted(next(v for _ in range(5) for k, v in (app.control.inspect(timeout=3, limit=2).revoked() or {}).items() if "stock" in k))`); fmt.Sprint(ids) != "[from-crisper from-stock]" {
		t.Errorf("a stock worker learnt %v from a Crisper one", ids)
	}
}

// read is a file's content; nothing while it is not there.
func read(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

func TestRevokedIdsAreKeptOverRestarts(t *testing.T) {
	t.Parallel()
	for _, version := range []harness.Options{{}, harness.Old(t)} {
		s := prepared(t, version)
		db := filepath.Join(s.Dir, "state")
		stock := s.Stock(t, "-c", "1", "--statedb", db)
		eval[any](t, s, `app.control.revoke("of-celery", reply=True, limit=1)`)
		harness.Must(t, stock.Signal(syscall.SIGTERM))
		_, _, err := stock.Wait(harness.Deadline(t, 30*time.Second))
		harness.Must(t, err)

		w := s.Crisper(t, "-c", "1", "--statedb", db)
		eval[any](t, s, `app.control.revoke("of-crisper", reply=True, limit=1)`)
		harness.Must(t, harness.Until(harness.Deadline(t, 20*time.Second), "it is written", func() bool {
			return contains(read(db+".crisper.json"), "of-crisper", "of-celery")
		}))
		harness.Must(t, w.Kill())
		_, _, _ = w.Wait(harness.Deadline(t, 30*time.Second))

		s.Crisper(t, "-c", "1", "--statedb", db, "-n", "again@%h")
		if ids := eval[[]string](t, s, `sorted(only(inspect.revoked()))`); fmt.Sprint(ids) != "[of-celery of-crisper]" {
			t.Errorf("after a kill: %v", ids)
		}
	}
}

func TestRatesAreKept(t *testing.T) {
	t.Parallel()
	s := prepared(t, harness.Options{})
	s.Crisper(t, "-c", "4")
	reply := eval[map[string]string](t, s, `only(app.control.rate_limit("sample.tick", "5/s", reply=True, limit=1))`)
	if reply["ok"] != "new rate limit set successfully" {
		t.Fatal(reply)
	}
	sent := time.Now()
	for i := range 8 {
		s.Send(t, harness.T("tick", i))
	}
	var starts []time.Time
	harness.Must(t, harness.Until(harness.Deadline(t, 30*time.Second), "all have run", func() bool {
		starts = starts[:0]
		for _, line := range harness.Got(s.Journal.Entries())(t) {
			if line.Event == "start" && line.Task == "sample.tick" {
				starts = append(starts, line.At())
			}
		}
		return len(starts) == 8
	}))
	// Seven intervals of 0.2 s, from when the first is let go: on a busy machine it
	// begins late, and the second is right behind it.
	if took := starts[7].Sub(sent); took < 1350*time.Millisecond {
		t.Errorf("eight tasks of 5/s were begun within %v", took)
	}
}

func TestTerminatingBySIGUSR1IsASoftTimeLimit(t *testing.T) {
	t.Parallel()
	s := prepared(t, harness.Options{})
	s.Crisper(t, "-c", "1")
	id := s.Send(t, harness.T("soft", 60))
	running(t, s, id)
	eval[any](t, s, `app.control.revoke("%s", terminate=True, signal="SIGUSR1", reply=True, limit=1)`, id)
	if r := s.Result(t, id); r.State != "SUCCESS" || r.Text() != "soft limit" {
		t.Errorf("%+v", r)
	}
}

func TestAnAppThatPicklesIsControlledInPickles(t *testing.T) {
	t.Parallel()
	for _, version := range []harness.Options{{}, harness.Old(t)} {
		s := harness.NewStage(t, version)
		s.App.Conf = map[string]any{"task_serializer": "pickle", "result_serializer": "pickle", "accept_content": []string{"pickle"}}
		s.App.Env = append(s.App.Env, "C_FORCE_ROOT=1")
		client, err := s.StartClient(s.App)
		harness.Must(t, err)
		s.Client = client
		eval[any](t, s, "%s", prelude)
		s.Crisper(t, "-c", "1")
		id := s.Send(t, harness.T("sleepy", 60))
		running(t, s, id)
		for _, row := range []struct{ code, want string }{
			{`only(app.control.ping(timeout=3, limit=1))`, "map[ok:pong]"},
			{`only(inspect.reserved())`, "[]"},
			{`"result_serializer" in only(inspect.conf())`, "true"},
			{`only(ask("double", number=4))`, "map[ok:8]"},
			{`only(app.control.rate_limit("sample.add", "1/s", reply=True, limit=1))["ok"][:8]`, "new rate"},
			{`only(app.control.revoke("` + id + `", terminate=True, reply=True, limit=1))`, "map[ok:terminate: " + id + "]"},
		} {
			if got := fmt.Sprint(eval[any](t, s, "%s", row.code)); got != row.want {
				t.Errorf("%s: %s", row.code, got)
			}
		}
		if r := s.Result(t, id); r.State != "REVOKED" {
			t.Errorf("%+v", r)
		}
	}
}
