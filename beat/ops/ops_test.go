package ops

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProbesJudgeByProgress(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	term := func(at, overdue time.Duration, connected bool) *TermHealth {
		return &TermHealth{At: ago(at), Overdue: overdue, Connected: connected}
	}
	for _, test := range []struct {
		what        string
		health      Health
		live, ready bool
		says        string
	}{
		{"starting", Health{LoopAt: now}, true, false, "the app is being loaded"},
		{"loaded", Health{LoopAt: now, Loaded: true}, true, false, "the campaign has not begun"},
		{"following nobody", Health{LoopAt: now, Loaded: true, Campaigning: true}, true, true, "nobody leads yet"},
		{"following", Health{LoopAt: now, Loaded: true, Campaigning: true, Leader: "pod-1"}, true, true, "follows pod-1"},
		{"leading", Health{LoopAt: now, Loaded: true, Campaigning: true, Leading: true, Token: 7, Term: term(0, 0, true)}, true, true, "leads, term 7"},
		{"the child is not there", Health{LoopAt: now, Loaded: true, Campaigning: true, Cold: true}, true, false, "celery beat is being loaded"},
		{"stopping", Health{LoopAt: now, Loaded: true, Campaigning: true, Stopping: true}, true, false, "stopping"},
		{"the process is stuck", Health{LoopAt: ago(11 * time.Second), Loaded: true, Campaigning: true}, false, true, "follows"},
		{"the term is stuck", Health{LoopAt: now, Loaded: true, Campaigning: true, Leading: true, Term: term(11*time.Second, 0, true)}, false, true, ""},
		{"a tick is overdue", Health{LoopAt: now, Loaded: true, Campaigning: true, Leading: true, Term: term(0, 61*time.Second, true)}, false, true, ""},
		{"a tick is late", Health{LoopAt: now, Loaded: true, Campaigning: true, Leading: true, Term: term(0, 59*time.Second, true)}, true, true, ""},
		{"the broker is away", Health{LoopAt: now, Loaded: true, Campaigning: true, Leading: true, Term: term(0, time.Hour, false)}, true, true, ""},
	} {
		if live, why := test.health.Live(now); live != test.live {
			t.Errorf("%s: live %v: %s", test.what, live, why)
		}
		ready, why := test.health.Ready()
		if ready != test.ready || !strings.Contains(why, test.says) {
			t.Errorf("%s: ready %v: %s", test.what, ready, why)
		}
		if started, _ := test.health.Startup(); started != test.health.Loaded {
			t.Errorf("%s: started %v", test.what, started)
		}
	}
}

func get(t *testing.T, s *Server, method, page string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, page, nil))
	return w
}

func TestPagesAreReadOnlyAndTheStateIsJSON(t *testing.T) {
	m := NewMetrics("v1")
	m.TermBegan(4)
	m.Tick("published", 2*time.Millisecond)
	m.Tick("published", 3*time.Second)
	m.Skipped("gap", 5)
	health, failure := Health{LoopAt: time.Now(), Loaded: true}, error(nil)
	s := NewServer(Options{
		Health: func() Health { return health }, Gatherer: m.Registry(),
		State: func(context.Context) (State, error) { return State{Leader: true, Term: 4, Counts: m.Counts()}, failure },
	})
	for page, code := range map[string]int{"/livez": 200, "/readyz": 503, "/startupz": 200, "/state": 200, "/metrics": 200, "/": 200, "/none": 404} {
		if got := get(t, s, http.MethodGet, page); got.Code != code {
			t.Errorf("%s: %d, want %d: %s", page, got.Code, code, got.Body)
		}
		if got := get(t, s, http.MethodPost, page); got.Code < 400 {
			t.Errorf("POST %s: %d", page, got.Code)
		}
	}
	var state map[string]any
	if err := json.Unmarshal(get(t, s, http.MethodGet, "/state").Body.Bytes(), &state); err != nil {
		t.Fatal(err)
	}
	if state["leader"] != true || state["term"] != 4.0 {
		t.Errorf("%v", state)
	}
	for _, line := range []string{
		"crisper_beat_leader 1", "crisper_beat_term 4", `crisper_beat_ticks_total{outcome="published"} 2`, "crisper_beat_caught_up_total 1",
		`crisper_beat_missed_total{reason="gap"} 5`, "crisper_beat_lateness_seconds_count 2",
	} {
		if text := get(t, s, http.MethodGet, "/metrics").Body.String(); !strings.Contains(text, line+"\n") {
			t.Errorf("no %s", line)
		}
	}
	failure = errors.New("the loop does not answer")
	if got := get(t, s, http.MethodGet, "/state"); got.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", got.Code)
	}
}

func TestTheServerAnswersUntilItsEnd(t *testing.T) {
	s := NewServer(Options{Health: func() Health { return Health{LoopAt: time.Now()} }, Gatherer: NewMetrics("v1").Registry()})
	ctx, cancel := context.WithCancel(t.Context())
	address, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- s.Run(ctx, "127.0.0.1:0", func(at string) { address <- at }) }()
	at := <-address
	response, err := http.Get("http://" + at + "/livez") //nolint:noctx // it ends with the server
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	response.Body.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := s.Run(t.Context(), at+":x", nil); err == nil {
		t.Error("it listens on no address")
	}
}

// Every metric is in the definitions, with a name that says its kind.
func TestTheReferencePageIsFreshAndComplete(t *testing.T) {
	want, err := os.ReadFile("../../docs/reference/beat-metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if err := WriteReference(&page); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), page.String()); diff != "" {
		t.Errorf("docs/reference/beat-metrics.md is stale (go generate ./cmd/crisper):\n%s", diff)
	}
	m := NewMetrics("v1")
	m.Tick("published", 0)
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for _, d := range definitions() {
		defined[d.name] = true
		if (d.kind == "counter") != strings.HasSuffix(d.name, "_total") {
			t.Errorf("%s is a %s", d.name, d.kind)
		}
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "crisper_") && !defined[f.GetName()] {
			t.Errorf("%s is not defined", f.GetName())
		}
		delete(defined, f.GetName())
	}
	for name := range defined {
		t.Errorf("%s is not gathered", name)
	}
}
