package ops

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func sampleState() State {
	return State{
		Version: "v1", Hostname: "celery@pod", Phase: "ready", PID: 1, StartedAt: noon, Now: noon.Add(time.Minute),
		Slots:  []SlotState{{Slot: 0, State: "busy", Task: &TaskState{ID: "a1", Name: "proj.add"}}},
		Queues: map[string]Queue{"celery": {Ready: 3}},
	}
}

func sampleOptions(health Health) Options {
	return Options{
		Health: func() Health { return health },
		State:  func(context.Context) (State, error) { return sampleState(), nil },
		Now:    func() time.Time { return noon },
	}
}

func get(t *testing.T, handler http.Handler, method, page string) *httptest.ResponseRecorder {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(method, page, nil))
	return recorder
}

func TestProbesAnswerWithAStatusAndAReason(t *testing.T) {
	well := Health{Started: true, Broker: true, LoopAt: noon}
	stuck := well
	stuck.StuckSince = noon.Add(-2 * time.Minute)
	for _, test := range []struct {
		page   string
		health Health
		status int
		body   string
	}{
		{"/livez", well, 200, "live: the loop turns\n"},
		{"/readyz", well, 200, "ready: takes tasks\n"},
		{"/startupz", well, 200, "started\n"},
		{"/livez", stuck, 503, "not live: there is work"},
		{"/readyz", Health{Started: true}, 503, "not ready: no connection"},
		{"/startupz", Health{}, 503, "starting"},
		{"/", well, 200, "/metrics"},
		{"/nothing", well, 404, ""},
		{"/metrics", well, 404, ""}, // no Gatherer
	} {
		response := get(t, NewServer(sampleOptions(test.health)).Handler(), http.MethodGet, test.page)
		if response.Code != test.status || !strings.Contains(response.Body.String(), test.body) {
			t.Errorf("%s: %d %q, want %d %q", test.page, response.Code, response.Body, test.status, test.body)
		}
	}
}

func TestTheHTTPDoorIsReadOnly(t *testing.T) {
	handler := NewServer(sampleOptions(Health{})).Handler()
	for _, page := range []string{"/livez", "/state", "/drain", "/"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			response := get(t, handler, method, page)
			if response.Code != http.StatusMethodNotAllowed || response.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", method, page, response.Code)
			}
		}
		if response := get(t, handler, http.MethodHead, page); response.Code == http.StatusMethodNotAllowed {
			t.Errorf("HEAD %s: %d", page, response.Code)
		}
	}
}

func TestStateIsServedAsJSON(t *testing.T) {
	response := get(t, NewServer(sampleOptions(Health{})).Handler(), http.MethodGet, "/state")
	var state State
	if err := json.Unmarshal(response.Body.Bytes(), &state); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleState(), state); diff != "" {
		t.Error(diff)
	}
	if kind := response.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("content type %q", kind)
	}
}

func TestStateSaysWhenTheLoopDoesNotAnswer(t *testing.T) {
	opts := sampleOptions(Health{})
	opts.State = func(ctx context.Context) (State, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the loop would be waited for without limit")
		}
		return State{}, errors.New("the loop is busy")
	}
	response := get(t, NewServer(opts).Handler(), http.MethodGet, "/state")
	if response.Code != http.StatusServiceUnavailable || !strings.Contains(response.Body.String(), "the loop is busy") {
		t.Errorf("%d %q", response.Code, response.Body)
	}
}

func TestRunTellsItsAddressAndEndsWithItsContext(t *testing.T) {
	listening := make(chan net.Addr, 1)
	opts := sampleOptions(Health{})
	opts.Listening = func(addr net.Addr) { listening <- addr }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- NewServer(opts).Run(ctx, "127.0.0.1:0") }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + (<-listening).String() + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if !strings.HasPrefix(string(body), "starting") {
		t.Errorf("/livez says %q", body)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestAnOpenRequestDoesNotHoldTheEnd(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	listening := make(chan net.Addr, 1)
	opts := sampleOptions(Health{})
	opts.Listening = func(addr net.Addr) { listening <- addr }
	opts.State = func(context.Context) (State, error) { close(entered); <-release; return State{}, nil }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- NewServer(opts).Run(ctx, "127.0.0.1:0") }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if response, err := client.Get("http://" + (<-listening).String() + "/state"); err == nil {
			_ = response.Body.Close()
		}
	}()
	<-entered
	begin := time.Now()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(begin); took > 10*shutdownTimeout {
		t.Errorf("an open request held the end for %s", took)
	}
	close(release)
	<-asked
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = NewServer(sampleOptions(Health{})).Run(t.Context(), taken.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "cannot serve probes and metrics") {
		t.Errorf("%v", err)
	}
}

// The promise is less than a millisecond; this measures a probe with its
// connection, as kubelet makes it.
func BenchmarkProbe(b *testing.B) {
	server := httptest.NewServer(NewServer(sampleOptions(Health{Started: true, Broker: true, LoopAt: noon})).Handler())
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for b.Loop() {
		response, err := client.Get(server.URL + "/livez")
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}
