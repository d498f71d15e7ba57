//go:build integration

package integration

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/integration/harness"
)

// expression is a row of the drop-in table: Python as users write it, and the JSON
// of its value.
type expression struct{ name, code, want string }

// A helper of the rows: the exception's type and the state in which a task ended.
const ending = `(lambda r: [type(r.get(timeout=90, propagate=False)).__name__, r.state])`

var expressions = []expression{
	{"a result comes back", `add.delay(2, 3).get(timeout=90)`, `5`},
	{"keyword arguments arrive", `add.delay(x=2, y=3).get(timeout=90)`, `5`},
	{"a task id of one's own is kept", `add.apply_async((2, 3), task_id="my-own id").id`, `"my-own id"`},
	{"unicode survives both ways", `echo.delay("žluťoučký 🐎 \u0000").get(timeout=90)`, `"žluťoučký 🐎 \u0000"`},
	{"a chain hands results on", `(add.s(1, 2) | add.s(10) | echo.s()).delay().get(timeout=90)`, `13`},
	{"a group collects", `group(add.s(i, i) for i in range(3))().get(timeout=90)`, `[0,2,4]`},
	{"a chord sums up", `chord([add.s(i, i) for i in range(4)])(total.s()).get(timeout=90)`, `12`},
	{"a chain of a chord and a task", `(group(add.s(i, 1) for i in range(3)) | total.s() | add.s(100)).delay().get(timeout=90)`, `106`},
	{"a chord with a failing part fails", ending + `(chord([add.s(1, 1), fail.s()])(total.s()))`, `["ChordError","FAILURE"]`},
	{"a link is called with the result", `(lambda r: [r.get(timeout=90), r.children[0].get(timeout=90)])(add.apply_async((1, 1), link=add.s(10)))`, `[2,12]`},
	{"an exception is a failure with its type", ending + `(fail.delay())`, `["ValueError","FAILURE"]`},
	{"a retry runs again until it succeeds", `retry.delay(2).get(timeout=90)`, `2`},
	{"a retry too many is a failure", ending + `(retry.delay(99))`, `["MaxRetriesExceededError","FAILURE"]`},
	{"a countdown is waited for", `(lambda sent, r: [r.get(timeout=90), time.time() - sent >= 1.0])(time.time(), add.apply_async((1, 1), countdown=1))`, `[2,true]`},
	{"an expired task is revoked", ending + `(add.apply_async((1, 1), expires=-5))`, `["TaskRevokedError","REVOKED"]`},
	{"a task that expires before its ETA is revoked", ending + `(add.apply_async((1, 1), countdown=1.2, expires=0.3))`, `["TaskRevokedError","REVOKED"]`},
	{"a rejected task that is requeued runs again", `reject.delay(requeue=True).get(timeout=90)`, `"second time"`},
	{"the soft limit reaches the task", `soft.apply_async((20,), soft_time_limit=1).get(timeout=90)`, `"soft limit"`},
	{"the hard limit ends the task", ending + `(sleepy.apply_async((30,), time_limit=1))`, `["TimeLimitExceeded","FAILURE"]`},
	{"a child that exits is a failure", ending + `(crash.delay(3))`, `["WorkerLostError","FAILURE"]`},
	{"a child that is killed is a failure", ending + `(die.delay(9))`, `["WorkerLostError","FAILURE"]`},
	{"an unknown task is a failure", ending + `(app.send_task("no.such.task"))`, `["NotRegistered","FAILURE"]`},
	{"protocol 1 is understood", `send_v1("sample.add", 4, 5).get(timeout=90)`, `9`},
	{"a compressed body is read", `echo.apply_async(("x" * 5000,), compression="gzip").get(timeout=90) == "x" * 5000`, `true`},
	{"five megabytes arrive", `length.delay("x" * 5000000).get(timeout=90)`, `5000000`},
	{"five megabytes come back", `len(echo.delay("x" * 5000000).get(timeout=90))`, `5000000`},
	{"wrong arguments are a failure", ending + `(app.send_task("sample.add", (1,)))`, `["TypeError","FAILURE"]`},
	{"two hundred tasks in parallel", `group(add.s(i, 1) for i in range(200))().get(timeout=90) == [i + 1 for i in range(200)]`, `true`},
	{"the app answers after all that", `add.delay(20, 3).get(timeout=90)`, `23`},
}

// workers are what the table is played against.
var workers = []struct {
	name  string
	old   bool
	start func(*harness.Stage, *testing.T, ...string) *harness.Worker
}{
	{"stock", false, (*harness.Stage).Stock},
	{"crisper", false, (*harness.Stage).Crisper},
	{"crisper with the oldest Celery", true, (*harness.Stage).Crisper},
}

func TestDropIn(t *testing.T) {
	t.Parallel()
	for _, w := range workers {
		t.Run(w.name, func(t *testing.T) {
			var options harness.Options
			if w.old {
				options = harness.Old(t)
			}
			s := harness.NewStage(t, options)
			w.start(s, t, "-c", "4")
			for _, row := range expressions {
				t.Run(row.name, func(t *testing.T) { evaluates(t, s, row.code, row.want) })
			}
			t.Run("nothing is left over", func(t *testing.T) { isEmpty(t, s) })
		})
	}
}

// evaluates compares the JSON values of an expression and of what is wanted.
func evaluates(t *testing.T, s *harness.Stage, code, want string) {
	t.Helper()
	var got, wanted any
	harness.Must(t, json.Unmarshal([]byte(want), &wanted))
	harness.Must(t, s.Client.Eval(code, &got))
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", code, diff)
	}
}

func isEmpty(t *testing.T, s *harness.Stage) {
	t.Helper()
	harness.Must(t, s.Redis.UntilEmpty(harness.Deadline(t, 10*time.Second), "default", "emails", "slow"))
}

func TestATaskSeesTheSameRequestUnderBothWorkers(t *testing.T) {
	t.Parallel()
	codes := map[string]string{
		"plain":       `context.delay().get(timeout=90)`,
		"in detail":   `context.apply_async(queue="emails", priority=6, headers={"x-trace": "abc"}, shadow="other", expires=600, time_limit=50, soft_time_limit=40).get(timeout=90)`,
		"in a chain":  `(add.si(1, 1) | context.si()).delay().get(timeout=90)`,
		"in a group":  `group([context.s()])().get(timeout=90)[0]`,
		"with an eta": `context.apply_async(countdown=0.2).get(timeout=90)`,
	}
	seen := map[string]map[string]any{}
	for _, w := range workers[:2] {
		s := harness.NewStage(t, harness.Options{})
		w.start(s, t, "-c", "1", "-Q", "default,emails")
		for name, code := range codes {
			var request map[string]any
			harness.Must(t, s.Client.Eval(code, &request))
			for _, differs := range []string{"id", "root_id", "parent_id", "group", "correlation_id", "eta", "expires"} {
				request[differs] = request[differs] != nil // ids and times: only whether there is one
			}
			seen[w.name+" "+name] = request
		}
	}
	for name := range codes {
		if diff := cmp.Diff(seen["stock "+name], seen["crisper "+name]); diff != "" {
			t.Errorf("%s (-stock +crisper)\n%s", name, diff)
		}
	}
}

func TestAFailureKeepsItsTraceback(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	s.Crisper(t, "-c", "1")
	r := s.Result(t, s.Send(t, harness.T("fail", "seen")))
	if r.State != "FAILURE" || r.Text() != "ValueError: seen" || !contains(r.Traceback, "sample.py", "raise ValueError(message)") {
		t.Errorf("%s with %s and the traceback\n%s", r.State, r.Text(), r.Traceback)
	}
}

func TestAnErrbackIsCalledForAFailureAndForALostChild(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fail", "die"} {
		t.Run(name, func(t *testing.T) {
			s := harness.NewStage(t, harness.Options{})
			s.Crisper(t, "-c", "2")
			var id string
			harness.Must(t, s.Client.Eval(name+`.apply_async(link_error=on_error.s()).id`, &id))
			harness.Must(t, harness.Until(harness.Deadline(t, 20*time.Second), "the errback", func() bool {
				entries, _ := s.Journal.Entries()
				for _, e := range entries {
					if e.Event == "errback" && e.Failed == id {
						return true
					}
				}
				return false
			}))
		})
	}
}

func TestAnIgnoredTaskHasNoResultAndIsSettled(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	s.Crisper(t, "-c", "1")
	id := s.Send(t, harness.T("ignore"))
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 20*time.Second), id))
	isEmpty(t, s)
	if got := harness.Got(s.Client.Results(0, id))(t)[id]; got.State != "PENDING" {
		t.Errorf("the state of an ignored task is %s", got.State)
	}
}

func TestALateTaskWhoseFailureIsNotAcknowledgedIsRejectedOnce(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	s.Crisper(t, "-c", "1")
	id := s.Send(t, harness.T("fail_unacked"))
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 20*time.Second), id))
	isEmpty(t, s) // Redis has no dead letters: rejected is gone
	if runs := harness.Got(s.Journal.Tasks())(t)[id]; runs.Starts != 1 {
		t.Errorf("it ran %d times", runs.Starts)
	}
}

func TestALateTaskIsInTheBrokersHandsUntilItHasEnded(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"sleepy": 0, "sleepy_late": 1} {
		t.Run(name, func(t *testing.T) {
			s := harness.NewStage(t, harness.Options{})
			s.Crisper(t, "-c", "1")
			id := s.Send(t, harness.T(name, 1))
			ctx := harness.Deadline(t, 20*time.Second)
			harness.Must(t, s.Journal.UntilStarted(ctx, id))
			if want == 1 { // an early one may be recorded as begun, see docs/reference/redis-keys.md
				if got := harness.Got(s.Redis.Unacked(ctx))(t); got != want {
					t.Errorf("%d deliveries are unacked while it runs, want %d", got, want)
				}
			}
			harness.Must(t, s.Journal.UntilEnded(ctx, id))
			isEmpty(t, s)
		})
	}
}

func TestPrioritiesAreTakenInKombusOrder(t *testing.T) {
	t.Parallel()
	for _, w := range workers[:2] {
		t.Run(w.name, func(t *testing.T) {
			s := harness.NewStage(t, harness.Options{})
			want := map[string]int{}
			for _, priority := range []int{9, 0, 6, 3} { // 0 is the highest on Redis
				want[s.Send(t, harness.T("tick").With("priority", priority))] = priority
			}
			w.start(s, t, "-c", "1", "--prefetch-multiplier", "1")
			ids := make([]string, 0, len(want))
			for id := range want {
				ids = append(ids, id)
			}
			harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 20*time.Second), ids...))
			var order []int
			for _, e := range harness.Got(s.Journal.Entries())(t) {
				if e.Event == "start" {
					order = append(order, want[e.ID])
				}
			}
			if diff := cmp.Diff([]int{0, 3, 6, 9}, order); diff != "" {
				t.Errorf("order of priorities (-want +got)\n%s", diff)
			}
		})
	}
}

func TestQueuesAreChosenAndLeftAloneByName(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	s.Crisper(t, "-c", "1", "-Q", "emails,slow")
	ctx := harness.Deadline(t, 20*time.Second)
	ours := []string{
		s.Send(t, harness.T("tick").With("queue", "emails")),
		s.Send(t, harness.T("tick").With("queue", "slow")),
	}
	other := s.Send(t, harness.T("tick").With("queue", "default"))
	harness.Must(t, s.Journal.UntilEnded(ctx, ours...))
	if got := harness.Got(s.Redis.IDs(ctx, "default"))(t); len(got) != 1 || got[0] != other {
		t.Errorf("the queue that is not consumed holds %v, want %v", got, other)
	}
}
