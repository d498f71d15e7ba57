//go:build integration

package integration

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/integration/harness"
)

// exported is what celery-exporter counts of these tasks.
var exported = []harness.Task{
	harness.T("add", 2, 3), harness.T("add", 2, 4), harness.T("fail", "counted"), harness.T("retry", 1),
	harness.T("add", 1, 1).With("expires", -5),
	{Name: "sample.reject", Args: []any{}, Kwargs: map[string]any{"requeue": false}},
	harness.T("add", 5, 5).With("queue", "emails"),
}

func TestCeleryExporterCountsTheSameOfBothWorkers(t *testing.T) {
	python := harness.Exporter(t)
	if err := exec.Command(python, "-c", "import src.exporter").Run(); err != nil {
		t.Skipf("celery-exporter is not installed: it exists for Python 3.11 and 3.12 only (%v)", err)
	}
	want := exportedBy(t, "stock", python, (*harness.Stage).Stock)
	got := exportedBy(t, "crisper", python, (*harness.Stage).Crisper)
	if diff := cmp.Diff(want, got); diff != "" && !t.Failed() {
		t.Errorf("Celery (-) and Crisper (+) differ:\n%s", diff)
	}
}

// exportedBy plays the tasks under one worker and returns the exporter's series.
func exportedBy(t *testing.T, kind, python string, start func(*harness.Stage, *testing.T, ...string) *harness.Worker) (lines []string) {
	t.Run(kind, func(t *testing.T) {
		s := harness.NewStage(t, harness.Options{})
		s.App.Conf = map[string]any{"task_send_sent_event": true}
		client, err := s.StartClient(s.App)
		harness.Must(t, err)
		port, err := harness.FreePort()
		harness.Must(t, err)
		exporter, err := s.Start(harness.Command{Name: "exporter", Args: []string{python, "-c", "from src.cli import cli; cli()",
			"--broker-url", s.App.Broker, "--host", "127.0.0.1", "--port", fmt.Sprint(port)}})
		harness.Must(t, err)
		_, err = exporter.WaitLog(harness.Deadline(t, 60*time.Second), "Started celery-exporter")
		harness.Must(t, err)
		base := fmt.Sprintf("http://127.0.0.1:%d", port)
		w := start(s, t, "-c", "2", "-E", "--heartbeat-interval", "1")
		scraped(t, base, `celery_worker_up{hostname="HOST"} 1.0`)
		for _, task := range exported {
			_, err := client.Send(task)
			harness.Must(t, err)
		}
		lines = scraped(t, base,
			`celery_task_succeeded_total{hostname="HOST",name="sample.add"} 3`,
			`celery_task_succeeded_total{hostname="HOST",name="sample.retry"} 1`,
			`celery_task_retried_total{hostname="HOST",name="sample.retry"} 1`,
			`celery_task_failed_total{exception="ValueError",hostname="HOST",name="sample.fail"} 1`,
			`celery_task_rejected_total{hostname="HOST",name="sample.reject"} 1`,
			`celery_task_revoked_total{hostname="HOST",name="sample.add"} 1`,
			`celery_worker_tasks_active{hostname="HOST"} 0.0`,
			`celery_active_process_count{queue_name="default"} 2.0`,
			`celery_queue_length{queue_name="default"} 0.0`)
		harness.Must(t, w.Signal(15))
		_, _, err = w.Wait(harness.Deadline(t, 60*time.Second))
		harness.Must(t, err)
		scraped(t, base, `celery_worker_up{hostname="HOST"} 0.0`)
	})
	return lines
}

// scraped asks until all these lines are there, and returns what can be compared: all but
// moments and run times.
func scraped(t *testing.T, base string, want ...string) (lines []string) {
	t.Helper()
	host, missing := "", want
	err := harness.Until(harness.Deadline(t, 60*time.Second), "lines of the exporter", func() bool {
		text := fetch(t, base+"/metrics")
		if _, after, ok := strings.Cut(text, `celery_worker_up{hostname="`); ok {
			host, _, _ = strings.Cut(after, `"`)
		}
		lines = nil
		for line := range strings.Lines(strings.ReplaceAll(text, `"`+host+`"`, `"HOST"`)) {
			if !strings.HasPrefix(line, "#") && !contains(line, "_created{") && !contains(line, "_bucket{") && !contains(line, "runtime_sum{") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		lines = summed(lines)
		missing = slices.DeleteFunc(slices.Clone(want), func(line string) bool { return slices.Contains(lines, line) })
		return len(missing) == 0
	})
	if err != nil {
		t.Fatalf("%v: %v; there are\n%s", err, missing, strings.Join(lines, "\n"))
	}
	return lines
}

var queueName = regexp.MustCompile(`,queue_name="[^"]*"`)

// summed adds up what is counted of a task by queue: the queue is known from the publisher's
// event, which may come after the worker's. Those of no task are left as they are.
func summed(lines []string) []string {
	sums := map[string]float64{}
	var out []string
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "} ")
		number, err := strconv.ParseFloat(value, 64)
		if err != nil || !strings.HasPrefix(line, "celery_task_") {
			out = append(out, line)
			continue
		}
		sums[queueName.ReplaceAllString(name, "")+"}"] += number
	}
	for name, sum := range sums {
		out = append(out, fmt.Sprintf("%s %g", name, sum))
	}
	slices.Sort(out)
	return out
}
