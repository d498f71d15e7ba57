//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/integration/harness"
)

// span is what OpenTelemetry's exporter was handed; see sample/otelled.py.
type span struct {
	Name, Kind, Status  string
	Trace, Span, Parent json.Number
	Remote              bool
	Attributes          map[string]any
	Events              [][]any
	PID                 int
}

// otelRows are tasks and the spans of their traces, each below the one that it stands under.
var otelRows = []struct {
	name, call string
	want       []string
}{
	{"success", `"add", 2, 3`, []string{"request", "request > apply_async/otelled.add", "apply_async/otelled.add > run/otelled.add"}},
	{"failure", `"fail"`, []string{"request", "request > apply_async/otelled.fail", "apply_async/otelled.fail > run/otelled.fail"}},
	{"retry", `"retry"`, []string{"request", "request > apply_async/otelled.retry", "apply_async/otelled.retry > run/otelled.retry",
		"run/otelled.retry > apply_async/otelled.retry", "apply_async/otelled.retry > run/otelled.retry"}},
	{"a task that publishes", `"parent"`, []string{"request", "request > apply_async/otelled.parent", "apply_async/otelled.parent > run/otelled.parent",
		"run/otelled.parent > work", "work > apply_async/otelled.add", "apply_async/otelled.add > run/otelled.add"}},
}

func TestOpenTelemetryLinksPublishersAndTasks(t *testing.T) {
	stock := playOpenTelemetry(t, "stock", (*harness.Stage).Stock)
	crisper := playOpenTelemetry(t, "crisper", (*harness.Stage).Crisper)
	if t.Failed() {
		return // what was not seen cannot be compared
	}
	for _, row := range otelRows {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(stock[row.name], crisper[row.name]); diff != "" {
				t.Errorf("Celery (-) and Crisper (+) differ:\n%s", diff)
			}
		})
	}
}

func playOpenTelemetry(t *testing.T, kind string, start func(*harness.Stage, *testing.T, ...string) *harness.Worker) map[string][]string {
	told := map[string][]string{}
	t.Run(kind, func(t *testing.T) {
		s := harness.NewStage(t, harness.Observers(t))
		path := filepath.Join(s.Dir, "spans")
		s.App.Name, s.App.Env = "otelled", []string{"SPANS=" + path}
		client, err := s.StartClient(s.App)
		harness.Must(t, err)
		start(s, t, "-c", "1")
		for _, row := range otelRows {
			var id string
			harness.Must(t, client.Eval(`__import__("otelled").publish(`+row.call+`)`, &id))
			want, got := slices.Sorted(slices.Values(row.want)), []string{}
			var spans []span
			err := harness.Until(harness.Deadline(t, 60*time.Second), "the spans of "+row.name, func() bool {
				spans = traceOf(t, path, id)
				got = tree(spans)
				return len(got) >= len(want)
			})
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s: wanted (-) and got (+):\n%s%v", row.name, diff, err)
			}
			told[row.name] = spelled(spans, id)
		}
	})
	return told
}

// traceOf is all spans of the trace that a task belongs to.
func traceOf(t *testing.T, path, id string) (spans []span) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []span
	var trace json.Number
	for line := range strings.Lines(string(text)) {
		var s span
		if !strings.HasSuffix(line, "\n") || json.Unmarshal([]byte(line), &s) != nil {
			continue // being written
		}
		all = append(all, s)
		if strings.Contains(line, id) {
			trace = s.Trace
		}
	}
	for _, s := range all {
		if s.Trace == trace {
			spans = append(spans, s)
		}
	}
	return spans
}

func tree(spans []span) []string {
	lines := make([]string, 0, len(spans))
	for _, s := range spans {
		lines = append(lines, under(spans, s)+s.Name)
	}
	slices.Sort(lines)
	return lines
}

func under(spans []span, s span) string {
	for _, parent := range spans {
		if parent.Span == s.Parent {
			return parent.Name + " > "
		}
	}
	return ""
}

// spelled is the spans with all they say but what cannot be the same twice.
func spelled(spans []span, id string) (lines []string) {
	for _, s := range spans {
		attributes := map[string]any{}
		for name, value := range s.Attributes {
			switch name {
			case "celery.hostname", "celery.origin", "celery.reply_to", "celery.eta":
				value = fmt.Sprintf("%T", value)
			case "celery.delivery_info":
				value = strings.Contains(fmt.Sprint(value), "routing_key")
			}
			attributes[name] = value
			if text, ok := value.(string); ok && len(text) == 36 && strings.Count(text, "-") == 4 {
				attributes[name] = map[bool]string{true: "ID", false: "ANOTHER ID"}[text == id]
			}
		}
		text, err := json.Marshal(attributes)
		if err != nil {
			text = []byte(err.Error())
		}
		lines = append(lines, fmt.Sprintf("%s%s %s %s remote=%v %s %v", under(spans, s), s.Name, s.Kind, s.Status, s.Remote, text, s.Events))
	}
	slices.Sort(lines)
	return lines
}
