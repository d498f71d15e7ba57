//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"crisper/integration/harness"
)

// press clicks a button and returns what Flower tells the user about it.
func (f *flower) press(t *testing.T, selector string) string {
	t.Helper()
	// What it has said before goes away by itself, at any time.
	inPage[bool](f.browser, `document.querySelectorAll('.toast').forEach(toast => { toast.dataset.seen = 'yes' }) === undefined`)
	f.click(selector)
	f.until("what Flower says to "+selector, `document.querySelector('.toast:not([data-seen])') !== null`)
	said := inPage[[]string](f.browser, `Array.from(document.querySelectorAll('.toast:not([data-seen])')).slice(-1).map(
		toast => [toast.className.includes('danger') ? 'error' : 'success', toast.querySelector('.toast-body').textContent]).flat()`)
	answer := f.plain(map[string]string{"": strings.Join(said, ": ")})[""]
	f.seen["button "+selector] = answer
	return answer
}

// pressed fails unless Flower says that it was done.
func (f *flower) pressed(t *testing.T, selector string) {
	t.Helper()
	if answer := f.press(t, selector); !strings.HasPrefix(answer, "success") {
		t.Errorf("%s: %s", selector, answer)
	}
}

// asked waits until the worker itself answers yes to a Python expression.
func (f *flower) asked(t *testing.T, what, code string) {
	t.Helper()
	var last any
	err := harness.Until(harness.Deadline(t, 60*time.Second), what, func() bool {
		var yes bool
		last = f.Client.Eval(fmt.Sprintf("(lambda inspect: %s)(app.control.inspect(timeout=5, limit=1))", code), &yes)
		return yes
	})
	if err != nil {
		t.Fatalf("%v (%v)", err, last)
	}
}

// first is the only worker's reply.
const first = `next(iter(inspect.%s.values()))`

func (f *flower) limits(t *testing.T) {
	f.openWorker(t)
	f.openTab("limits")
	row := `tr:has([id="task-rate-limit-sample.echo"])`
	f.fill(row+` td:nth-child(2) input`, "100")
	f.pressed(t, `[id="task-rate-limit-sample.echo"]`)
	f.asked(t, "a rate limit", `"sample.echo [rate_limit=100]" in `+fmt.Sprintf(first, "registered()"))
	f.fill(row+` td:nth-child(3) input`, "60")
	f.pressed(t, `[id="task-timeout-soft-sample.echo"]`)
	f.fill(row+` td:nth-child(3) input`, "90")
	f.pressed(t, `[id="task-timeout-hard-sample.echo"]`)
}

func (f *flower) poolSize(t *testing.T) {
	children := func(n int) string {
		return fmt.Sprintf(`len(%s["pool"]["processes"]) == %d`, fmt.Sprintf(first, "stats()"), n)
	}
	f.openWorker(t)
	f.fill("#pool-size", "2")
	f.pressed(t, "#worker-pool-grow")
	f.asked(t, "four children", children(4))
	f.fill("#pool-size", "1")
	f.pressed(t, "#worker-pool-shrink")
	f.asked(t, "three children", children(3))
	f.fill("#min-autoscale", "1")
	f.fill("#max-autoscale", "4")
	if answer := f.press(t, "#worker-pool-autoscale"); !strings.Contains(answer, "Autoscale not enabled") {
		t.Errorf("autoscale of a worker without it: %s", answer)
	}
}

func (f *flower) queues(t *testing.T) {
	has := fmt.Sprintf(`"added" in [q["name"] for q in %s]`, fmt.Sprintf(first, "active_queues()"))
	f.openWorker(t)
	f.openTab("queues")
	f.fill("#add-consumer-name", "added")
	f.pressed(t, "#worker-add-consumer")
	f.asked(t, "another queue", has)
	id := f.Send(t, harness.T("add", 20, 3).With("queue", "added"))
	if r := f.Result(t, id); r.Text() != "23" {
		t.Errorf("a task of the added queue ended as %s with %s", r.State, r.Text())
	}
	f.openWorker(t)
	f.openTab("queues")
	f.pressed(t, "#worker-cancel-consumer-added")
	f.asked(t, "the queue to be gone", "not "+has)
}

func (f *flower) revoke(t *testing.T) {
	f.open("/task/" + f.ids["waiting"])
	f.pressed(t, "#task-revoke")
	f.asked(t, "the task to be revoked", fmt.Sprintf(`%q in %s`, f.ids["waiting"], fmt.Sprintf(first, "revoked()")))
	f.openWorker(t)
	f.openTab("tasks")
	f.until("the task among the revoked", fmt.Sprintf(`Array.from(document.querySelectorAll('#tab-tasks table')).slice(-1)[0].innerText.includes(%s)`,
		quoted(f.ids["waiting"])))
}

func (f *flower) terminate(t *testing.T) {
	for _, name := range []string{"running", "running too"} {
		f.open("/task/" + f.ids[name])
		f.pressed(t, "#task-terminate")
		if r := f.Result(t, f.ids[name]); r.State != "REVOKED" {
			t.Errorf("%s: after the termination the state is %s", name, r.State)
		}
		err := harness.Until(harness.Deadline(t, 60*time.Second), "REVOKED on the task's page", func() bool {
			f.open("/task/" + f.ids[name])
			return inPage[string](f.browser, `document.querySelector('.badge').textContent`) == "REVOKED"
		})
		harness.Must(t, err)
	}
}

func (f *flower) restart(t *testing.T) {
	var before, after []int
	pids := fmt.Sprintf(`(lambda inspect: %s["pool"]["processes"])(app.control.inspect(timeout=5, limit=1))`, fmt.Sprintf(first, "stats()"))
	harness.Must(t, f.Client.Eval(pids, &before))
	f.openWorker(t)
	f.click("#worker-group")
	f.pressed(t, "#worker-pool-restart")
	// Celery replaces some at once and the others with time; here all are replaced.
	all := f.worker.HTTP != ""
	err := harness.Until(harness.Deadline(t, 60*time.Second), "new children", func() bool {
		after = nil
		return f.Client.Eval(pids, &after) == nil && len(after) > 0 && shared(before, after) < len(before) && (!all || shared(before, after) == 0)
	})
	if err != nil {
		t.Errorf("%v: before %v, after %v", err, before, after)
	}
	if r := f.Result(t, f.Send(t, harness.T("add", 4, 5))); r.Text() != "9" {
		t.Errorf("a task after the restart ended as %s with %s", r.State, r.Text())
	}
}

// shared counts the numbers that are in both.
func shared(a, b []int) (n int) {
	for _, x := range a {
		if slices.Contains(b, x) {
			n++
		}
	}
	return n
}

func (f *flower) shutdown(t *testing.T) {
	f.openWorker(t)
	f.click("#worker-group")
	f.pressed(t, "#worker-shutdown")
	code, _, err := f.worker.Wait(harness.Deadline(t, 60*time.Second))
	harness.Must(t, err)
	if code != 0 {
		t.Errorf("the worker left with exit code %d", code)
	}
	f.open("/workers")
	f.until("the worker to be shown as offline", `document.getElementById('workers-table').innerText.includes('Offline')`)
	f.until("no worker online", `document.getElementById('workers-online').textContent === '0'`)
}
