package ops

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"crisper/broker"
)

func newMetrics(t testing.TB) (*prometheus.Registry, *Metrics) {
	t.Helper()
	registry := prometheus.NewRegistry()
	return registry, NewMetrics(registry)
}

// exercise gives every metric a sample.
func exercise(m *Metrics) {
	m.Build("v1")
	m.TaskReceived("proj.add", "celery")
	m.TaskFinished("proj.add", "succeeded", time.Millisecond)
	m.Parked("proj.add")
	m.Transition("ready", "busy", "task")
	m.Slots(map[string]int{"busy": 1})
	m.Backlog(map[string]broker.Backlog{"celery": {Ready: 1}})
	m.Settled("ack", 1)
}

// described asks the registry itself what it holds.
func described(t *testing.T, registry *prometheus.Registry) map[string]string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, family := range families {
		var labels []string
		for _, pair := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, pair.GetName())
		}
		slices.Sort(labels)
		all[family.GetName()] = strings.ToLower(family.GetType().String()) + " " + strings.Join(labels, ",") + " " + family.GetHelp()
	}
	return all
}

func TestTheTableOfMetricsIsWhatTheRegistryHolds(t *testing.T) {
	registry, m := newMetrics(t)
	exercise(m)
	want := map[string]string{}
	for _, d := range definitions() {
		labels := slices.Sorted(slices.Values(d.labels))
		want[d.name] = string(d.kind) + " " + strings.Join(labels, ",") + " " + d.help
	}
	if diff := cmp.Diff(want, described(t, registry)); diff != "" {
		t.Error(diff)
	}
}

func TestMetricNamesKeepTheConventions(t *testing.T) {
	shape := regexp.MustCompile(`^crisper_[a-z]+(_[a-z]+)*$`)
	for _, d := range definitions() {
		if !shape.MatchString(d.name) {
			t.Errorf("%s is not a good name", d.name)
		}
		if (d.kind == counter) != strings.HasSuffix(d.name, "_total") {
			t.Errorf("%s is a %s", d.name, d.kind)
		}
		if d.kind == histogram && !strings.HasSuffix(d.name, "_seconds") {
			t.Errorf("%s does not name its unit", d.name)
		}
		for _, label := range d.labels {
			if slices.Contains([]string{"hostname", "host", "pod", "pid", "id", "task_id", "child", "slot"}, label) {
				t.Errorf("%s has the unbounded label %s", d.name, label)
			}
		}
	}
}

func TestMetricsReferenceIsFresh(t *testing.T) {
	want, err := os.ReadFile("../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if err := WriteReference(&page); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), page.String()); diff != "" {
		t.Errorf("docs/reference/metrics.md is stale (go generate ./cmd/crisper):\n%s", diff)
	}
}

func TestInventedTaskNamesShareOneSeries(t *testing.T) {
	registry, m := newMetrics(t)
	for i := range maxNames + 500 {
		name := fmt.Sprintf("task-%d", i)
		m.TaskReceived(name, "celery")
		m.TaskFinished(name, "succeeded", time.Millisecond)
		m.Parked(name)
	}
	for _, name := range []string{"crisper_tasks_received_total", "crisper_tasks_finished_total", "crisper_task_runtime_seconds", "crisper_tasks_parked_total"} {
		if n := count(t, registry, name); n != maxNames+1 {
			t.Errorf("%s has %d series", name, n)
		}
	}
	if got := value(t, m.received.WithLabelValues(otherName, "celery")); got != 500 {
		t.Errorf("other received %v, want 500", got)
	}
}

func TestInventedQueuesShareOneSeries(t *testing.T) {
	registry, m := newMetrics(t)
	for i := range maxNames + 10 {
		m.TaskReceived("t", fmt.Sprintf("queue-%d", i))
	}
	if n := count(t, registry, "crisper_tasks_received_total"); n != maxNames+1 {
		t.Errorf("%d series", n)
	}
}

func TestAStateWithoutSlotsShowsZero(t *testing.T) {
	_, m := newMetrics(t)
	m.Slots(map[string]int{"busy": 2, "ready": 1})
	m.Slots(map[string]int{"ready": 3})
	if busy, ready := value(t, m.slots.WithLabelValues("busy")), value(t, m.slots.WithLabelValues("ready")); busy != 0 || ready != 3 {
		t.Errorf("busy %v, ready %v", busy, ready)
	}
}

func TestABacklogThatCannotBeMeasuredHasNoFigures(t *testing.T) {
	registry, m := newMetrics(t)
	const name = "crisper_queue_ready_messages"
	series := func() int { return count(t, registry, name) }
	m.Backlog(map[string]broker.Backlog{"a": {Ready: 1, OldestAge: 1500 * time.Millisecond}, "b": {Unacked: 2}})
	if got := value(t, m.oldest.WithLabelValues("a")); series() != 2 || got != 1.5 {
		t.Errorf("%d series, oldest %v", series(), got)
	}
	m.Backlog(map[string]broker.Backlog{"b": {}})
	if series() != 1 {
		t.Errorf("a queue that is not consumed any more still has a figure")
	}
	m.Backlog(nil)
	if series() != 0 {
		t.Errorf("old figures are shown while the broker cannot be asked")
	}
}

func TestATaskThatNeverRanHasNoRuntime(t *testing.T) {
	registry, m := newMetrics(t)
	m.TaskFinished("t", "revoked", 0)
	if n := family(t, registry, defRuntime.name).GetMetric()[0].GetHistogram().GetSampleCount(); n != 0 {
		t.Errorf("%d runtimes", n)
	}
}

func TestTheOwnRegistryShowsGoAndTheProcess(t *testing.T) {
	registry := NewRegistry()
	NewMetrics(registry)
	if n := count(t, registry, "go_goroutines", "crisper_takes_total"); n != 2 {
		t.Errorf("%d series", n)
	}
	response := get(t, NewServer(Options{Gatherer: registry, Health: func() Health { return Health{} }}).Handler(), "GET", "/metrics")
	if !strings.Contains(response.Body.String(), "crisper_takes_total 0") {
		t.Errorf("/metrics: %d %.200s", response.Code, response.Body)
	}
}

// The loop calls these for each task, some 20 000 times a second.
func BenchmarkTask(b *testing.B) {
	_, m := newMetrics(b)
	b.ReportAllocs()
	for b.Loop() {
		m.TaskReceived("proj.add", "celery")
		m.TaskFinished("proj.add", "succeeded", time.Millisecond)
		m.Settled("ack", 1)
	}
}
