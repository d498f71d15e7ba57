//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/integration/harness"
)

// sentryServer takes what Sentry's library sends, through its own transport and threads.
type sentryServer struct {
	*httptest.Server
	mu    sync.Mutex
	items []sentryItem
}

type sentryItem struct {
	kind    string
	payload map[string]any
}

func startSentry(t *testing.T) *sentryServer {
	s := &sentryServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(s.take))
	t.Cleanup(s.Close)
	return s
}

func (s *sentryServer) dsn() string {
	return strings.Replace(s.URL, "http://", "http://public@", 1) + "/1"
}

// take reads an envelope: a line about itself, then a line about each item and the item.
func (s *sentryServer) take(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	items, err := readEnvelope(bufio.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = append(s.items, items...)
	fmt.Fprint(w, "{}")
}

func readEnvelope(in *bufio.Reader) (items []sentryItem, err error) {
	if _, err := in.ReadBytes('\n'); err != nil {
		return nil, fmt.Errorf("cannot read an envelope: %w", err)
	}
	for {
		line, err := in.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) == 0 && err != nil {
			return items, nil
		}
		var header struct {
			Type   string `json:"type"`
			Length int    `json:"length"`
		}
		if err := json.Unmarshal(line, &header); err != nil {
			return nil, fmt.Errorf("cannot read the header of an item %q: %w", line, err)
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(in, payload); err != nil {
			return nil, fmt.Errorf("cannot read an item: %w", err)
		}
		item := sentryItem{kind: header.Type}
		if json.Unmarshal(payload, &item.payload) == nil {
			items = append(items, item)
		}
		_, _ = in.ReadByte() // the line's end
	}
}

// of returns what has come for one task: its errors, transactions and check-ins.
func (s *sentryServer) of(id, trace string) (all []sentryItem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, item := range s.items {
		text, err := json.Marshal(item.payload)
		mine := err == nil && (bytes.Contains(text, []byte(id)) || bytes.Contains(text, []byte(trace)))
		if mine && item.payload["transaction"] != "publish" && slices.Contains([]string{"event", "transaction", "check_in"}, item.kind) {
			all = append(all, item)
		}
	}
	return all
}

const checkIn = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e"

// sentryRows say how many items of which kind Sentry gets for each task.
var sentryRows = []struct {
	name, task, args, headers string
	kinds                     []string
}{
	{"success", "add", "(2, 3)", "None", []string{"transaction"}},
	{"an error", "fail", `("hidden",)`, "None", []string{"event", "transaction"}},
	{"an error that is expected", "expected", "()", "None", []string{"transaction"}},
	{"a retry, then an error", "retry", "()", "None", []string{"event", "transaction", "transaction"}},
	{"a task that publishes", "parent", "()", "None", []string{"transaction", "transaction"}},
	{"a soft time limit", "soft", "()", "None", []string{"event", "transaction"}},
	{"a scheduled task's check-in", "add", "(1, 1)",
		`{"sentry-monitor-slug": "nightly", "sentry-monitor-check-in-id": "` + checkIn + `",
		"sentry-monitor-config": {"schedule": {"type": "interval", "value": 1, "unit": "day"}}}`,
		[]string{"check_in", "transaction"}},
}

func TestSentryIsToldTheSameByBothWorkers(t *testing.T) {
	stock := playSentry(t, "stock", (*harness.Stage).Stock)
	crisper := playSentry(t, "crisper", (*harness.Stage).Crisper)
	if t.Failed() {
		return // what was not seen cannot be compared
	}
	for _, row := range sentryRows {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(stock[row.name], crisper[row.name]); diff != "" {
				t.Errorf("Celery (-) and Crisper (+) differ:\n%s", diff)
			}
		})
	}
}

// sentryStage is an app with Sentry and a client of it.
func sentryStage(t *testing.T) (*harness.Stage, *sentryServer) {
	server := startSentry(t)
	s := harness.NewStage(t, harness.Observers(t))
	s.App.Name, s.App.Env = "sentried", []string{"SENTRY_DSN=" + server.dsn()}
	client, err := s.StartClient(s.App)
	harness.Must(t, err)
	s.Client = client
	return s, server
}

func playSentry(t *testing.T, kind string, start func(*harness.Stage, *testing.T, ...string) *harness.Worker) map[string][]any {
	told := map[string][]any{}
	t.Run(kind, func(t *testing.T) {
		s, server := sentryStage(t)
		start(s, t, "-c", "1")
		for _, row := range sentryRows {
			var sent struct{ ID, Trace string }
			harness.Must(t, s.Client.Eval(fmt.Sprintf(`__import__("sentried").publish(%q, %s, %s)`, row.task, row.args, row.headers), &sent))
			var items []sentryItem
			err := harness.Until(harness.Deadline(t, 60*time.Second), "what Sentry is told of "+row.name, func() bool {
				items = server.of(sent.ID, sent.Trace)
				return len(items) >= len(row.kinds)
			})
			var kinds []string
			for _, item := range items {
				kinds = append(kinds, item.kind)
				told[row.name] = append(told[row.name], map[string]any{item.kind: tidy(item.payload, sent.ID, sent.Trace)})
			}
			slices.Sort(kinds)
			if err != nil || !slices.Equal(kinds, row.kinds) {
				t.Errorf("%s: Sentry got %v, not %v (%v)", row.name, kinds, row.kinds, err)
			}
			slices.SortFunc(told[row.name], func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	})
	return told
}

// sentryNoise is what differs from run to run, or is about the machine.
var sentryNoise = map[string]bool{
	"event_id": true, "timestamp": true, "start_timestamp": true, "span_id": true, "parent_span_id": true, "measurements": true,
	"server_name": true, "modules": true, "sdk": true, "duration": true, "thread.id": true, "messaging.message.receive.latency": true,
	"vars": true, "sys.argv": true, "abs_path": true, "pre_context": true, "post_context": true, "lineno": true, "release": true,
	"runtime": true, "server.port": true, "sentry-task-enqueued-time": true,
}

// random is in texts: other ids, process numbers, milliseconds of a log's time.
var random = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|\bgen\d+@|\b[0-9a-f]{16}\b|\b0\.\d+|X,\d{3}`)

// frame is what groups errors: whose function it is. The handler of the soft limit has its own name here.
func frame(f map[string]any) string {
	function := f["function"]
	if function == "soft_timeout_sighandler" || function == "on_signal" {
		function = "the soft limit's handler"
	}
	return fmt.Sprintf("%v, the app's: %v", function, f["in_app"])
}

// tidy keeps of noise that it is there, of stack frames the functions, and of ids whose they are.
func tidy(value any, id, trace string) any {
	switch v := value.(type) {
	case map[string]any:
		if v["filename"] != nil && v["function"] != nil {
			return frame(v)
		}
		out := map[string]any{}
		for key, member := range v {
			if key == "_meta" { // says what was cut off, which depends on the moment
				continue
			}
			if sentryNoise[key] {
				out[key] = fmt.Sprintf("%T", member)
			} else {
				out[key] = tidy(member, id, trace)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = tidy(v[i], id, trace)
		}
		return out
	case string:
		v = random.ReplaceAllString(moments.ReplaceAllString(strings.NewReplacer(id, "ID", trace, "TRACE").Replace(v), "X"), "X")
		return v[:min(len(v), 100)] // longer is the text of a Redis command, with results in it
	}
	return value
}

func TestSentryGetsTheLastWordsOfAChild(t *testing.T) {
	s, server := sentryStage(t)
	s.Crisper(t, "-c", "1", "--max-tasks-per-child", "1")
	for range 3 {
		var sent struct{ ID, Trace string }
		harness.Must(t, s.Client.Eval(`__import__("sentried").publish("leave")`, &sent))
		harness.Must(t, harness.Until(harness.Deadline(t, 60*time.Second), "the message of a child that was recycled", func() bool {
			return slices.ContainsFunc(server.of(sent.ID, sent.Trace), func(i sentryItem) bool { return i.kind == "event" })
		}))
	}
}
