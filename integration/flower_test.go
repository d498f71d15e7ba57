//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/integration/harness"
)

// flower is Flower, started for real beside one worker, and a browser that looks at it.
type flower struct {
	*harness.Stage
	*browser
	worker *harness.Worker
	node   string // the worker's name
	ids    map[string]string
	// seen is what the pages said, compared between the two workers in the end.
	seen map[string]any
}

// flowerRows are played in this order, each on what the ones before have left.
var flowerRows = []struct {
	name string
	play func(*flower, *testing.T)
}{
	{"the worker is online", (*flower).online},
	{"tasks are listed with their states", (*flower).states},
	{"the page of a task tells what became of it", (*flower).taskPages},
	{"the tabs of the worker's page are full", (*flower).workerTabs},
	{"the broker tab counts what is ready", (*flower).brokerTab},
	{"its API and its metrics tell the same", (*flower).api},
	{"rate and time limits are set by buttons", (*flower).limits},
	{"the pool grows and shrinks by buttons", (*flower).poolSize},
	{"queues are added and cancelled by buttons", (*flower).queues},
	{"a waiting task is revoked by a button", (*flower).revoke},
	{"a running task is terminated by a button", (*flower).terminate},
	{"the pool is restarted by a button", (*flower).restart},
	{"the worker is shut down by a button", (*flower).shutdown},
}

func TestFlowerShowsAndSteersTheWorker(t *testing.T) {
	stock := playFlower(t, "stock", (*harness.Stage).Stock)
	crisper := playFlower(t, "crisper", (*harness.Stage).Crisper)
	if t.Failed() {
		return // what was not seen cannot be compared
	}
	for _, what := range slices.Sorted(mapKeys(stock, crisper)) {
		t.Run("Flower says the same of both: "+what, func(t *testing.T) {
			if diff := cmp.Diff(stock[what], crisper[what]); diff != "" {
				t.Errorf("Celery (-) and Crisper (+) differ:\n%s", diff)
			}
		})
	}
}

func mapKeys(maps ...map[string]any) func(func(string) bool) {
	all := map[string]bool{}
	for _, m := range maps {
		for key := range m {
			all[key] = true
		}
	}
	return func(yield func(string) bool) {
		for key := range all {
			if !yield(key) {
				return
			}
		}
	}
}

func playFlower(t *testing.T, kind string, start func(*harness.Stage, *testing.T, ...string) *harness.Worker) map[string]any {
	seen := map[string]any{}
	t.Run(kind, func(t *testing.T) {
		f := startFlower(t, start)
		f.seen = seen
		for _, row := range flowerRows {
			if !t.Run(row.name, func(t *testing.T) { f.t = t; row.play(f, t); f.clean() }) {
				return // the next rows stand on this one
			}
		}
	})
	return seen
}

func startFlower(t *testing.T, start func(*harness.Stage, *testing.T, ...string) *harness.Worker) *flower {
	s := harness.NewStage(t, harness.Observers(t))
	s.App.Name = "watched"
	s.App.Conf = map[string]any{"worker_pool_restarts": true}
	port, err := harness.FreePort()
	harness.Must(t, err)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	celery := filepath.Join(filepath.Dir(s.Python), "celery")
	process, err := s.Start(harness.Command{Name: "flower", Env: append(s.Env(s.App), "FLOWER_UNAUTHENTICATED_API=true"),
		Args: []string{celery, "-A", "watched", "flower", "--address=127.0.0.1", fmt.Sprintf("--port=%d", port)}})
	harness.Must(t, err)
	_, err = process.WaitLog(harness.Deadline(t, 60*time.Second), "Connected to")
	harness.Must(t, err)
	f := &flower{Stage: s, browser: openBrowser(t, base), ids: map[string]string{}}
	f.worker = start(s, t, "-c", "2", "-E", "--prefetch-multiplier", "1")
	harness.Must(t, s.Client.Eval(`next(iter(app.control.inspect(timeout=20, limit=1).ping()))`, &f.node))
	return f
}

func (f *flower) online(t *testing.T) {
	f.open("/workers")
	row := "document.getElementById('workers-table').textContent"
	f.until("the worker's row", fmt.Sprintf(`%s.includes(%s) && %s.includes("Online")`, row, quoted(f.node), row))
	f.until("one worker online", `document.getElementById('workers-online').textContent === '1'`)
}

// watchedTasks are sent in this order; the two that run stay until they are terminated.
var watchedTasks = []struct {
	name, state string
	task        harness.Task
}{
	{"success", "SUCCESS", harness.T("add", 2, 3)},
	{"failure", "FAILURE", harness.T("fail", "shown by Flower")},
	{"retry", "RETRY", harness.T("retry_later", 600)},
	{"expired", "REVOKED", harness.T("add", 1, 1).With("expires", -5)},
	{"rejected", "FAILURE", harness.Task{Name: "sample.reject", Args: []any{}, Kwargs: map[string]any{"requeue": false}}},
	{"waiting", "RECEIVED", harness.T("add", 1, 1).With("countdown", 600)},
	{"running", "STARTED", harness.T("sleepy", 600)},
	{"running too", "STARTED", harness.T("sleepy", 601)},
}

func (f *flower) states(t *testing.T) {
	f.open("/tasks")
	for _, row := range watchedTasks {
		f.ids[row.name] = f.Send(t, row.task)
		badge := fmt.Sprintf(`(document.getElementById(%s)?.querySelector('.badge')?.textContent ?? '')`, quoted(f.ids[row.name]))
		deadline := harness.Deadline(t, 60*time.Second)
		err := harness.Until(deadline, row.state+" of "+row.name, func() bool {
			inPage[bool](f.browser, `new Promise(done => $('#tasks-table').DataTable().ajax.reload(() => done(true), false))`)
			return inPage[string](f.browser, badge) == row.state
		})
		if err != nil {
			t.Fatalf("%v; the page shows:\n%s", err, inPage[string](f.browser, `document.body.innerText`))
		}
	}
}

func (f *flower) taskPages(t *testing.T) {
	for _, name := range []string{"success", "failure", "retry", "expired", "rejected", "waiting", "running"} {
		f.open("/task/" + f.ids[name])
		fields := inPage[map[string]string](f.browser, `Object.fromEntries(Array.from(document.querySelectorAll('.detail-row')).map(
			row => [row.querySelector('dt').textContent.trim(), row.querySelector('dd').innerText.trim()]))`)
		if fields["Worker"] != f.node {
			t.Errorf("%s: the worker is %q, not %q", name, fields["Worker"], f.node)
		}
		buttons := inPage[[]string](f.browser, `Array.from(document.querySelectorAll('.detail-actions button')).map(b => b.textContent)`)
		f.seen["task page: "+name] = []any{f.plain(fields), buttons}
	}
}

// moments are texts that differ from run to run.
var moments = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ][\d:.]+(\+00:00)?|\b[\d.]+ m?s\b|\b\d{9,}\.\d+\b|127\.0\.0\.1:\d+|redis://\S+|/[^ ]*/integration/\S+|line \d+|0x[0-9a-f]+`)

// plain replaces what cannot be the same twice. Fields that count clocks or name
// processes keep only that they are there.
func (f *flower) plain(fields map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range fields {
		switch name {
		case "Root", "Parent": // there when Flower has the object at hand; the ids are beside it
			continue
		case "Clock", "Local Received", "Timestamp", "Pid", "Worker PID", "Processes", "Uptime", "uptime", "Writes", "Port", "include":
			value = fmt.Sprint(value != "" && value != "—")
		case "Traceback":
			lines := strings.Split(strings.TrimSpace(value), "\n")
			value = lines[0] + "…" + lines[len(lines)-1]
		}
		for task, id := range f.ids {
			value = strings.ReplaceAll(value, id, "ID of "+task)
		}
		out[name] = moments.ReplaceAllString(strings.ReplaceAll(value, f.node, "NODE"), "X")
	}
	return out
}

// openWorker shows the worker's page with fresh facts: Flower shows those of its cache.
func (f *flower) openWorker(t *testing.T) {
	t.Helper()
	f.get(t, "/api/workers?refresh=1&workername="+url.QueryEscape(f.node))
	f.open("/worker/" + f.node)
}

func (f *flower) get(t *testing.T, path string) string {
	t.Helper()
	return fetch(t, f.base+path)
}

// table is the text of a tab's rows, by the first cell.
func (f *flower) table(tab string) map[string]string {
	rows := inPage[[][]string](f.browser, fmt.Sprintf(`Array.from(document.querySelectorAll('#tab-%s tbody tr')).map(
		row => Array.from(row.children).map(cell => cell.textContent.trim().replace(/\s+/g, ' ')))`, tab))
	out := map[string]string{}
	for _, cells := range rows {
		out[cells[0]] = strings.Join(cells[1:], " | ")
	}
	return out
}

// onlyNames are the first cells of rows whose others are measured, but ids.
func onlyNames(table map[string]string) []string {
	var names []string
	for name := range table {
		if len(name) < 36 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// openTab opens a tab of the worker's page. Flower scrolls when a tab has been opened, and a
// click that comes just then meets something else: it is made again, and in the end the scrolling is waited for.
func (f *flower) openTab(tab string) {
	f.t.Helper()
	open := fmt.Sprintf(`document.getElementById('tab-%[1]s').classList.contains('show')`, tab)
	for range 10 {
		f.click("#worker-tab-" + tab)
		if f.soon(6*time.Second, open) {
			break
		}
	}
	f.until("the tab "+tab, fmt.Sprintf(`%s && location.hash === '#tab-%s'`, open, tab))
	inPage[bool](f.browser, `new Promise(scrolled => setTimeout(() => scrolled(true), 300))`)
}

func (f *flower) workerTabs(t *testing.T) {
	f.openWorker(t)
	for _, tab := range []string{"broker", "queues", "tasks", "limits", "config", "system", "other", "pool"} {
		f.openTab(tab)
		table := f.table(tab)
		switch tab {
		case "system":
			f.seen["tab "+tab] = onlyNames(table)
		case "tasks": // a row of an active task begins with its name, which the processed ones have too
			f.seen["tab "+tab] = onlyNames(table)
			for _, name := range []string{"running", "waiting"} {
				shown := inPage[string](f.browser, `document.getElementById('tab-tasks').innerText`)
				if !strings.Contains(shown, f.ids[name]) {
					t.Errorf("the tab does not show the task that is %s:\n%s", name, shown)
				}
			}
		default:
			f.seen["tab "+tab] = f.plain(table)
		}
		if len(table) == 0 {
			t.Errorf("the tab %s is empty", tab)
		}
	}
}

func (f *flower) brokerTab(t *testing.T) {
	for range 6 { // both children are busy: a few are taken, the others wait
		f.Send(t, harness.T("echo", "filler").With("queue", "slow"))
	}
	ready := func() int64 { return f.Redis.Client.LLen(context.Background(), "slow").Val() }
	harness.Must(t, harness.Until(harness.Deadline(t, 60*time.Second), "the worker to take its share", func() bool { return ready() == 4 }))
	f.open("/broker")
	f.until("the queue's row", `document.getElementById('slow') !== null`)
	f.seen["broker tab"] = inPage[[][]string](f.browser, `Array.from(document.querySelectorAll('#queue-table tbody tr')).map(
		row => Array.from(row.children).map(cell => cell.textContent.trim()))`)
	if shown := inPage[string](f.browser, `document.getElementById('slow').innerText`); !strings.Contains(shown, "4") {
		t.Errorf("4 tasks are ready, and the broker tab says %q", shown)
	}
}

func (f *flower) api(t *testing.T) {
	var workers, tasks map[string]map[string]any
	harness.Must(t, json.Unmarshal([]byte(f.get(t, "/api/workers?refresh=1")), &workers))
	harness.Must(t, json.Unmarshal([]byte(f.get(t, "/api/tasks?limit=100")), &tasks))
	if workers[f.node] == nil {
		t.Fatalf("the API does not know %s: %v", f.node, workers)
	}
	f.seen["api: worker"] = shape(workers[f.node])
	for _, row := range watchedTasks {
		task := tasks[f.ids[row.name]]
		if task["state"] != row.state {
			t.Errorf("the API says %v of the task %s", task["state"], row.name)
		}
		f.seen["api: task "+row.name] = shape(task)
	}
	f.seen["api: queues"] = f.get(t, "/api/queues/length")
	var status map[string]bool
	harness.Must(t, json.Unmarshal([]byte(f.get(t, "/api/workers?status=1")), &status))
	if !status[f.node] {
		t.Errorf("the API says %v", status)
	}
	f.seen["metrics"] = series(f.get(t, "/metrics"), "flower_", f.node)
}

// shape keeps of a value its members and their types.
func shape(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, member := range v {
			out[key] = shape(member)
		}
		return out
	case []any:
		var kinds []string
		for _, member := range v {
			kinds = append(kinds, fmt.Sprintf("%T", member))
		}
		slices.Sort(kinds)
		return slices.Compact(kinds)
	}
	return fmt.Sprintf("%T", value)
}

// series are the names and labels of metrics that begin so, without their values.
func series(text, prefix, node string) []string {
	var all []string
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, "} ")
		if strings.HasPrefix(name, prefix) && !strings.Contains(name, "_bucket") && !strings.Contains(name, "_created") {
			all = append(all, strings.ReplaceAll(strings.TrimSpace(name), node, "NODE"))
		}
	}
	slices.Sort(all)
	return all
}
