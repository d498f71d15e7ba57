package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"k8s.io/client-go/rest"

	"crisper/broker/redisbroker"
)

func TestTheBrokersRedisTellsTheTime(t *testing.T) {
	server := miniredis.RunT(t)
	want := time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)
	server.SetTime(want)
	cfg := redisbroker.Defaults()
	cfg.URLs = []string{"redis://" + server.Addr() + "/0"}
	clock, err := newRedisClock(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer clock.close()
	for range 2 {
		now, precision, err := clock.ask(t.Context())
		if err != nil || !now.Equal(want) || precision != 0 {
			t.Errorf("%s ± %s, %v", now, precision, err)
		}
	}
	server.Close()
	if _, _, err := clock.ask(t.Context()); err == nil {
		t.Error("nobody was asked, and there is an answer")
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := clock.ask(t.Context()); err != nil {
		t.Errorf("after its return: %v", err)
	}
}

func TestTheAPIServerTellsTheTimeToTheSecond(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/version" {
			w.Header().Set("Date", "Sun, 29 Mar 2026 01:30:07 GMT")
		}
		w.WriteHeader(http.StatusForbidden) // who may not read it learns the time all the same
	}))
	defer server.Close()
	a := &api{config: &rest.Config{Host: server.URL}, web: server.Client()}
	now, precision, err := a.clock(t.Context())
	begin := time.Date(2026, 3, 29, 1, 30, 7, 0, time.UTC)
	if err != nil || now.Add(-precision).After(begin) || now.Add(precision).Before(begin.Add(time.Second)) {
		t.Errorf("%s ± %s, %v", now, precision, err)
	}
	server.Close()
	if _, _, err := a.clock(t.Context()); err == nil {
		t.Error("nobody was asked, and there is an answer")
	}
}
