//go:build integration

package integration

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
)

// What Celery's t/smoke checks in containers and is not a row elsewhere, in our own
// words; docs/reference/conformance.md says which check is where. Each is played
// against Celery's own worker too: what that does not pass says something wrong.

// smokeStage is a stage whose app has the tasks of smokeapp.py.
func smokeStage(t *testing.T, conf map[string]any) *harness.Stage {
	t.Helper()
	b := harness.New(t)
	r := harness.Got(b.StartRedis(harness.Deadline(t, 30*time.Second), harness.RedisOptions{}))(t)
	path := strings.Join([]string{filepath.Join(b.Root, "integration", "smoke"), filepath.Join(b.Root, "integration", "sample")}, ":")
	a := harness.App{Name: "smokeapp", Broker: r.URL(0), Backend: r.URL(1), Conf: conf, Env: []string{"PYTHONPATH=" + path}}
	return &harness.Stage{Bed: b, Redis: r, App: a, Client: harness.Got(b.StartClient(a))(t)}
}

// underBoth runs a check once with each kind of worker.
func underBoth(t *testing.T, check func(*testing.T, starter)) {
	t.Helper()
	for _, w := range workers[:2] {
		t.Run(w.name, func(t *testing.T) { check(t, w.start) })
	}
}

type starter = func(*harness.Stage, *testing.T, ...string) *harness.Worker

func TestTheOnlyChildIsReplacedWhateverEndsIt(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, code, want, line string }{
		{"KILL", `die.delay(9)`, `["WorkerLostError","FAILURE"]`, `Worker exited prematurely: signal 9 \(SIGKILL\)`},
		{"sys.exit", `leave.delay()`, `["WorkerLostError","FAILURE"]`, `Worker exited prematurely: exitcode 1`},
		{"its hard limit", `limited.delay()`, `["TimeLimitExceeded","FAILURE"]`, `Hard time limit \(2(\.0)?s\) exceeded for sample\.limited\[`},
	} {
		t.Run(row.name, func(t *testing.T) {
			underBoth(t, func(t *testing.T, start starter) {
				s := smokeStage(t, nil)
				w := start(s, t, "-c", "1", "--prefetch-multiplier", "1")
				var before, after struct{ PID int }
				harness.Must(t, s.Client.Eval(`whoami.delay().get(timeout=90)`, &before))
				evaluates(t, s, ending+"("+row.code+")", row.want)
				harness.Must(t, s.Client.Eval(`whoami.delay().get(timeout=90)`, &after))
				if before.PID == after.PID {
					t.Error("the next task ran in the child that had ended")
				}
				harness.Got(w.WaitLog(harness.Deadline(t, 10*time.Second), row.line))(t)
				isEmpty(t, s)
			})
		})
	}
}

func TestALostTaskIsRetriedUntilItsRetriesRunOut(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := smokeStage(t, map[string]any{"task_acks_late": true, "task_reject_on_worker_lost": true,
			"task_retry_on_worker_lost": true})
		w := start(s, t, "-c", "1", "--prefetch-multiplier", "1")
		id := s.Send(t, harness.T("killed_with_retries"))
		if r := s.Result(t, id); r.State != "FAILURE" || !strings.HasPrefix(r.Text(), "WorkerLostError") {
			t.Errorf("it ended as %s with %s", r.State, r.Text())
		}
		log := w.LogText()
		received, retried := strings.Count(log, id+"] received"), strings.Count(log, id+"] retry:")
		if received != 3 || retried != 2 {
			t.Errorf("it was received %d times and retried %d times, want 3 and 2", received, retried)
		}
		isEmpty(t, s)
	})
}

func TestTheSoftLimitFailsATaskThatDoesNotCatchIt(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := smokeStage(t, nil)
		w := start(s, t, "-c", "1")
		evaluates(t, s, ending+`(soft_then_hard.delay())`, `["SoftTimeLimitExceeded","FAILURE"]`)
		harness.Got(w.WaitLog(harness.Deadline(t, 10*time.Second), `Soft time limit \(1(\.0)?s\) exceeded for sample\.soft_then_hard\[`))(t)
	})
}

func TestAWorkerGoesOnWhenTheBrokerIsBack(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := smokeStage(t, nil)
		w := start(s, t, "-c", "2")
		evaluates(t, s, `add.delay(1, 2).get(timeout=90)`, `3`)
		ctx := harness.Deadline(t, 60*time.Second)
		s.Redis.Kill()
		harness.Got(w.WaitLog(ctx, `Trying again in|[Cc]annot connect|[Cc]onnection to broker lost`))(t)
		harness.Must(t, s.Redis.Start(ctx))
		evaluates(t, s, `group(add.s(i, 1) for i in range(5)).delay().get(timeout=90)`, `[1,2,3,4,5]`)
		evaluates(t, s, `chain(group(add.si(i, 1) for i in range(5)), group(add.si(i, 2) for i in range(3))).delay().get(timeout=90)`, `[2,3,4]`)
	})
}

func TestTheSecondBrokerIsTakenWhenTheFirstIsGone(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := smokeStage(t, nil)
		ctx := harness.Deadline(t, 60*time.Second)
		second := harness.Got(s.StartRedis(ctx, harness.RedisOptions{}))(t)
		s.App.Broker = s.Redis.URL(0) + ";" + second.URL(0)
		s.App.Backend = second.URL(1)
		start(s, t, "-c", "1")
		client := harness.Got(s.StartClient(harness.App{Name: s.App.Name, Broker: second.URL(0), Backend: second.URL(1), Env: s.App.Env}))(t)
		s.Redis.Kill()
		var sum int
		harness.Must(t, client.Eval(`add.delay(2, 3).get(timeout=90)`, &sum))
		if sum != 5 {
			t.Errorf("the sum is %d", sum)
		}
	})
}

func TestAReplacedTaskRunsOnTheOtherWorkersQueue(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := smokeStage(t, nil)
		start(s, t, "-c", "1", "-Q", "default")
		start(s, t, "-c", "1", "-Q", "emails")
		evaluates(t, s, `(replaces.s("sample.echo", 40) | add.s(2).set(queue="emails")).delay().get(timeout=90)`, `42`)
	})
}

func TestARequeuedTaskContinuesItsChain(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := smokeStage(t, map[string]any{"worker_deduplicate_successful_tasks": true})
		start(s, t, "-c", "1")
		evaluates(t, s, `(requeued_once.s(1) | add.s(10)).delay().get(timeout=90)`, `12`)
		evaluates(t, s, `(lambda r: [r.get(timeout=90), r.children[0].get(timeout=90)])(requeued_once.apply_async((1,), link=add.s(5)))`, `[2,7]`)
		isEmpty(t, s)
	})
}

func TestAChainsErrbackIsCalledWhereThereAreNoResults(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := smokeStage(t, nil)
		s.App.Backend = "disabled://"
		start(s, t, "-c", "1")
		client := harness.Got(s.StartClient(s.App))(t)
		var ignored any
		harness.Must(t, client.Eval(`chain(fail.si(), add.si(1, 1)).on_error(on_error.s()).delay() and None`, &ignored))
		harness.Must(t, harness.Until(harness.Deadline(t, 20*time.Second), "the errback", func() bool {
			entries, _ := s.Journal.Entries()
			return slices.ContainsFunc(entries, func(e harness.Entry) bool { return e.Event == "errback" })
		}))
		isEmpty(t, s)
	})
}

func TestAQueueOfItsOwnNeedsNoDefaultQueue(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := smokeStage(t, map[string]any{"task_create_missing_queues": false, "task_queues": map[string]any{"own": map[string]any{}}})
		start(s, t, "-c", "1", "-Q", "own")
		evaluates(t, s, `add.apply_async((1, 2), queue="own").get(timeout=90)`, `3`)
	})
}

func TestAChildsDeathDoesNotStopAWorkerWhoseResultBackendIsGone(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := smokeStage(t, map[string]any{"result_backend_always_retry": true, "result_backend_max_retries": 9999999,
			"result_backend_base_sleep_between_retries_ms": 10, "result_backend_max_sleep_between_retries_ms": 10,
			"task_acks_late": true, "task_reject_on_worker_lost": true})
		port := harness.Got(harness.FreePort())(t)
		s.App.Backend = fmt.Sprintf("redis://127.0.0.1:%d/0", port) // nobody listens there
		w := start(s, t, "-c", "1")
		s.Send(t, harness.T("dies_once", s.Path("marker")))
		ctx := harness.Deadline(t, 40*time.Second)
		harness.Got(w.WaitLog(ctx, `Worker exited prematurely|exitcode 1`))(t)
		alive := s.Send(t, harness.T("echo", "alive"))
		harness.Got(w.WaitLog(ctx, alive+`\] received`))(t)
	})
}

func TestAWarmShutdownSaysSoAndFinishesWhatRuns(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := smokeStage(t, map[string]any{"task_acks_late": true})
		w := start(s, t, "-c", "2")
		id := started(t, s, harness.T("sleepy", 2))
		code, _ := leaves(t, w, syscall.SIGTERM)
		if code != 0 || !strings.Contains(w.LogText(), "Warm shutdown") {
			t.Errorf("it left with %d, and its log says nothing of a warm shutdown", code)
		}
		if r := s.Result(t, id); r.State != "SUCCESS" {
			t.Errorf("the task that ran ended as %s", r.State)
		}
		isEmpty(t, s)
	})
}

// quitStock: Celery's handler raises, which is lost when the signal comes while Python
// is in a callback that lets nothing out (a finalizer). A user would press the key again.
func quitStock(t *testing.T, w *harness.Worker) {
	t.Helper()
	harness.Must(t, w.Signal(syscall.SIGQUIT))
	if _, _, err := w.Wait(harness.Deadline(t, 5*time.Second)); err != nil {
		leaves(t, w, syscall.SIGQUIT)
	}
}

func TestAColdShutdownSaysSoAndFinishesNothing(t *testing.T) {
	t.Parallel()
	underBoth(t, func(t *testing.T, start starter) {
		s := smokeStage(t, map[string]any{"task_acks_late": true})
		w := start(s, t, "-c", "2")
		id := started(t, s, harness.T("sleepy", 300))
		if strings.HasSuffix(t.Name(), "/stock") {
			quitStock(t, w)
		} else {
			leaves(t, w, syscall.SIGQUIT)
		}
		if log := w.LogText(); !strings.Contains(log, "Cold shutdown") || strings.Contains(log, id+"] succeeded") {
			t.Error("its log does not tell of a cold shutdown, or tells of a success")
		}
		if r := harness.Got(s.Client.Results(0, id))(t)[id]; r.State != "PENDING" {
			t.Errorf("the task that was cut off is %s", r.State)
		}
	})
}
