package redisbroker

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"crisper/broker"
	"crisper/broker/brokertest"
)

func TestMeasuringOnceLeavesNoTraceAndKnowsAgesThatMessagesName(t *testing.T) {
	s := mini(t)
	at := time.Now().Add(-time.Minute).UnixMilli()
	s.Publish(t, "q", 0, fmt.Appendf(nil, `{"headers": {"task": "t", "id": "1", "sentry-task-enqueued-time": %d.5}, "properties": {"delivery_tag": "1"}}`, at/1000))
	s.Publish(t, "r", 3, brokertest.Payload("a", 3))
	s.client.HSet(t.Context(), "unacked", "x", fmt.Sprintf(`[%s, "", "r"]`, brokertest.Payload("x", 0)))
	got, err := MeasureBacklog(t.Context(), s.config("", "q", "r"))
	if err != nil {
		t.Fatal(err)
	}
	if q := got["q"]; q.Ready != 1 || q.OldestAge < 59*time.Second || q.OldestAge > 70*time.Second {
		t.Errorf("q: %+v", q)
	}
	if r := got["r"]; r != (broker.Backlog{Ready: 1, Unacked: 1}) {
		t.Errorf("r: %+v", r)
	}
	if keys := s.client.Keys(t.Context(), "*").Val(); len(keys) != 3 {
		t.Errorf("keys afterwards: %q", keys)
	}
}

func TestMeasuringWithoutAServerGivesAnErrorAndNoFigures(t *testing.T) {
	cfg := Defaults()
	cfg.URLs = []string{"redis://:hunter2@127.0.0.1:1/0"}
	got, err := MeasureBacklog(t.Context(), cfg)
	if got != nil || !errors.Is(err, broker.ErrUnavailable) {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestTheOldestMessageAgesWhileItStays(t *testing.T) {
	ages := tails{first: map[string]tail{}}
	at := time.Unix(1000, 0)
	for _, step := range []struct {
		payload string
		after   time.Duration
		want    time.Duration
	}{{"a", 0, 0}, {"a", 5 * time.Second, 5 * time.Second}, {"b", 6 * time.Second, 0}, {"b", 8 * time.Second, 2 * time.Second}} {
		if got := ages.age("q", []byte(step.payload), at.Add(step.after)); got != step.want {
			t.Errorf("%s after %s: %s, want %s", step.payload, step.after, got, step.want)
		}
	}
	if ages.age("q", nil, at) != 0 || len(ages.first) != 0 {
		t.Error("an empty list is remembered")
	}
}
