package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"crisper/broker"
)

// replyError is an error reply of the server.
type replyError string

func (e replyError) Error() string { return string(e) }
func (replyError) RedisError()     {}

func TestErrorsAreRefusalsOrPassing(t *testing.T) {
	for text, want := range map[string]error{
		"WRONGPASS invalid username-password pair": broker.ErrRefused,
		"NOAUTH Authentication required.":          broker.ErrRefused,
		"NOPERM this user has no permissions":      broker.ErrRefused,
		"LOADING Redis is loading":                 broker.ErrUnavailable,
		"READONLY You can't write":                 broker.ErrUnavailable,
		"MASTERDOWN Link with MASTER is down":      broker.ErrUnavailable,
	} {
		if got := classify(fmt.Errorf("cannot: %w", replyError(text))); !errors.Is(got, want) {
			t.Errorf("%s: %v", text, got)
		}
	}
	for _, err := range []error{io.EOF, context.DeadlineExceeded, errors.New("dial tcp: refused")} {
		if !errors.Is(classify(err), broker.ErrUnavailable) {
			t.Errorf("%v: %v", err, classify(err))
		}
	}
	wrong := replyError("WRONGTYPE Operation against a key")
	if got := classify(wrong); errors.Is(got, broker.ErrUnavailable) || errors.Is(got, broker.ErrRefused) {
		t.Errorf("%v", got)
	}
}

func TestAllProblemsOfTheSettingsAreReportedAtOnce(t *testing.T) {
	cfg := Config{
		URLs: []string{"sentinel://h", "amqp://:hunter2@h"}, FailoverStrategy: "mine",
		TransportOptions: raw(t, `{"credential_provider": "x.Y", "priority_steps": [3, 0], "visibility_timeout": "hunter2", "queue_order_strategy": "a:B"}`),
		Queues:           []broker.Queue{{Name: "q"}, {Name: "q"}},
	}
	_, err := New(cfg)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"master_name", "amqp", "mine", "credential_provider", "priority_steps", "visibility_timeout", "queue_order_strategy", "worker id", "twice"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("shows a value: %v", err)
	}
}

func TestAnUnknownTransportOptionIsWarnedOf(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	cfg := Defaults()
	cfg.URLs, cfg.WorkerID, cfg.Log = []string{"redis://h"}, "w", zap.New(core)
	cfg.TransportOptions = raw(t, `{"visibilty_timeout": 5, "socket_timeout": null, "fanout_prefix": true}`)
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	if all := logs.All(); len(all) != 1 || !strings.Contains(all[0].Message, "visibilty_timeout") {
		t.Fatalf("%v", all)
	}
}

func TestPrioritiesFallToTheirStep(t *testing.T) {
	l := newLayout(defaultOptions(), "")
	for priority, want := range map[int]string{-3: "q", 0: "q", 2: "q", 3: "q\x06\x163", 5: "q\x06\x163", 8: "q\x06\x166", 9: "q\x06\x169", 200: "q\x06\x169"} {
		if got := l.list("q", priority); got != want {
			t.Errorf("priority %d: %q, want %q", priority, got, want)
		}
	}
}

func TestUnackedValuesAreReadBackByteForByte(t *testing.T) {
	for _, payload := range []string{`{"a":  1}`, ``, `no json`, `{"x": ", \"\", \"q\"]"}`} {
		r, ok := parseRecord([]byte("[" + payload + unackedTail(`a"queue`)))
		if !ok || string(r.payload) != payload || r.exchange != "" || r.routingKey != `a"queue` {
			t.Errorf("%q: %+v %v", payload, r, ok)
		}
	}
	r, ok := parseRecord([]byte(`[{"a":  1}, "ex", "key"]`))
	if !ok || string(r.payload) != `{"a":  1}` || r.exchange != "ex" || r.routingKey != "key" {
		t.Errorf("stock: %+v %v", r, ok)
	}
	for _, bad := range []string{"", "[]", "[1,2]", `{"a": 1}`} {
		if _, ok := parseRecord([]byte(bad)); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestTopicPatternsAreWrittenAsKombuWritesThem(t *testing.T) {
	for key, want := range map[string]string{"a.*.#": `^a\.[^\.]+\..*?$`, "a-b_c": `^a\-b\_c$`} {
		if got := bindingPattern(broker.Queue{ExchangeType: "topic", RoutingKey: key}); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	if !bound("x", `^a\.[^\.]+\..*?$`, "a.b.c.d") || bound("x", `^a\.[^\.]+$`, "a.b.c") || !bound("k", "", "k") {
		t.Error("matching")
	}
}

// TestTheScriptPicksAsKombuWould compares takes of random sizes with kombu's way:
// one message at a time, the queue that served moved to the end.
func TestTheScriptPicksAsKombuWould(t *testing.T) {
	s := mini(t)
	queues := []string{"a", "b", "c"}
	c := s.consumer(t, "w", queues...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	<-c.Events()
	go func() {
		for range c.Events() {
		}
	}()
	rng := rand.New(rand.NewPCG(1, 2))
	twin, content := newCycle("round_robin", queues), map[string][]string{}
	for round := range 60 {
		for i := range rng.IntN(12) {
			queue, priority := queues[rng.IntN(3)], rng.IntN(10)
			id := fmt.Sprint(round, ".", i)
			s.Publish(t, queue, priority, fmt.Appendf(nil, `{"headers": {"task": "t", "id": "%s"}, "properties": {"delivery_tag": "%s"}}`, id, id))
			list := s.keys.list(queue, priority)
			content[list] = append(content[list], id)
		}
		n := 1 + rng.IntN(8)
		var want, got []string
		for range n {
			want = append(want, onePop(s.keys, &twin, content)...)
		}
		ds, err := c.Take(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			got = append(got, d.Message.ID)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: got %q, want %q", round, got, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func onePop(keys layout, twin *cycle, content map[string][]string) []string {
	for _, step := range keys.steps {
		for _, queue := range twin.items {
			list := keys.listOf(queue, step)
			if len(content[list]) > 0 {
				id := content[list][0]
				content[list] = content[list][1:]
				twin.served(queue)
				return []string{id}
			}
		}
	}
	return nil
}
