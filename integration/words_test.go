//go:build integration

package integration

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/integration/harness"
)

// words are the lines of Celery's worker that people's alerts and scripts look for.
var words = regexp.MustCompile(strings.Join([]string{
	`Tasks flagged as revoked: [\w-]+`, `Terminating [\w-]+ \(\d+\)`, `Discarding revoked task: [^"\n]+\]`,
	`Received unregistered task of type '[^']+'\.`, `Did you remember to import the module`, `(?m)^KeyError: .+$`, `NoneType: None`,
	`Process 'ForkPoolWorker-\d+' pid:\d+ exited with '[^']+'`, `Task handler raised error: WorkerLostError\('Worker exited prematurely: [^,.J]+`,
	`purge: Erased .* from the queue\.`,
}, "|"))

// said are these lines of a log, with what differs from run to run named.
func said(log string, ids ...string) []string {
	for i, id := range ids {
		log = strings.ReplaceAll(log, id, fmt.Sprintf("ID%d", i))
	}
	lines := words.FindAllString(log, -1)
	for i, line := range lines {
		line = strings.TrimSpace(line)
		lines[i] = regexp.MustCompile(`pid:\d+`).ReplaceAllString(regexp.MustCompile(`Worker-\d+`).ReplaceAllString(line, "Worker-N"), "pid:P")
	}
	return lines
}

// waiting is a task that runs in the only child, and one that was received behind it.
func waiting(t *testing.T, s *harness.Stage, w *harness.Worker) (runs, waits string) {
	t.Helper()
	runs = s.Send(t, harness.T("sleepy", 600)) // longer than all that is asked takes
	running(t, s, runs)
	waits = s.Send(t, harness.T("add", 1, 1))
	harness.Got(w.WaitLog(harness.Deadline(t, 20*time.Second), regexp.QuoteMeta(waits)+`\] received`))(t)
	return runs, waits
}

func TestTheLogHasTheWordsThatAlertsLookFor(t *testing.T) {
	t.Parallel()
	for _, scene := range []struct {
		name string
		args []string
		play func(*testing.T, *harness.Stage, *harness.Worker) (ids []string)
		last string // what is waited for
	}{
		{"a task is revoked while it waits", nil, func(t *testing.T, s *harness.Stage, w *harness.Worker) []string {
			runs, waits := waiting(t, s, w)
			eval[any](t, s, `only(app.control.revoke("%s", reply=True, limit=1))`, waits)
			eval[any](t, s, `only(app.control.revoke("%s", terminate=True, reply=True, limit=1))`, runs)
			return []string{runs, waits}
		}, "Discarding"},
		{"tasks are terminated that run, wait and are not there", nil, func(t *testing.T, s *harness.Stage, w *harness.Worker) []string {
			runs, waits := waiting(t, s, w)
			for _, id := range []string{"nobody", waits, runs} {
				eval[any](t, s, `only(app.control.revoke("%s", terminate=True, reply=True, limit=1))`, id)
			}
			return []string{runs, waits}
		}, "Discarding"},
		{"a task is not known", nil, func(t *testing.T, s *harness.Stage, w *harness.Worker) []string {
			eval[any](t, s, `app.send_task("no.such.task").id`)
			return nil
		}, "KeyError|NoneType"},
		{"a child is killed", nil, func(t *testing.T, s *harness.Stage, w *harness.Worker) []string {
			s.Send(t, harness.T("die"))
			return nil
		}, "WorkerLostError"},
		{"the queue is purged", []string{"--purge"}, func(*testing.T, *harness.Stage, *harness.Worker) []string { return nil }, "purge: .*rased"},
	} {
		t.Run(scene.name, func(t *testing.T) {
			outcome := func(start func(*harness.Stage, *testing.T, ...string) *harness.Worker) []string {
				s := prepared(t, harness.Options{})
				if scene.args != nil {
					s.Send(t, harness.T("tick"))
					s.Send(t, harness.T("tick"))
				}
				w := start(s, t, append([]string{"-c", "1"}, scene.args...)...)
				ids := scene.play(t, s, w)
				harness.Got(w.WaitLog(harness.Deadline(t, 30*time.Second), scene.last))(t)
				return said(w.LogText(), ids...)
			}
			if diff := cmp.Diff(outcome((*harness.Stage).Stock), outcome((*harness.Stage).Crisper)); diff != "" {
				t.Errorf("Celery (-) and Crisper (+) differ:\n%s", diff)
			}
		})
	}
}
