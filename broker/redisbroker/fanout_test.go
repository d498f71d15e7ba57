package redisbroker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"crisper/broker"
	"crisper/broker/brokertest"
)

// exerciseFanout is played against miniredis and a real redis-server.
func exerciseFanout(t *testing.T, s *server) {
	t.Run("what is broadcast reaches every listener, and questions are answered by all of them", func(t *testing.T) {
		askAndAnswer(t, s)
	})
	t.Run("an event goes to the channel that kombu's receivers listen on", func(t *testing.T) {
		eventChannel(t, s)
	})
	t.Run("a reply to somebody who has left is dropped", func(t *testing.T) {
		w := brokertest.Start(t, s.consumer(t, "w"))
		defer w.Kill()
		_, err := w.Consumer.(broker.Fanout).Publish(t.Context(), []broker.Publication{{Exchange: "gone", RoutingKey: "x", Direct: true, Body: []byte("1")}})
		if err != nil {
			t.Error(err)
		}
	})
}

// answers makes a worker that answers every question with its name.
func (s *server) answers(t *testing.T, name string) *brokertest.Worker {
	c := s.consumer(t, name)
	questions := c.Listen("celery.pidbox")
	w := brokertest.Start(t, c)
	go func() {
		for q := range questions {
			var question struct {
				ReplyTo struct {
					Exchange   string `json:"exchange"`
					RoutingKey string `json:"routing_key"`
				} `json:"reply_to"`
			}
			if err := json.Unmarshal(q.Message.Body, &question); err != nil {
				t.Error(err)
			}
			body, _ := json.Marshal(name)
			_, _ = c.Publish(context.Background(), []broker.Publication{{
				Exchange: question.ReplyTo.Exchange, RoutingKey: question.ReplyTo.RoutingKey, Direct: true, Body: body,
			}})
		}
	}()
	return w
}

func question(a broker.Address) broker.Publication {
	body, _ := json.Marshal(map[string]any{"reply_to": map[string]string{"exchange": a.Exchange, "routing_key": a.RoutingKey}})
	return broker.Publication{Exchange: "celery.pidbox", Body: body}
}

func askAndAnswer(t *testing.T, s *server) {
	first, second := s.answers(t, "first"), s.answers(t, "second")
	defer first.Kill()
	defer second.Kill()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	replies, err := first.Consumer.(broker.Fanout).Ask(ctx, "reply.celery.pidbox", question)
	if err != nil || len(replies) != 2 {
		t.Fatalf("%d replies, %v", len(replies), err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("waited %s for nobody", took)
	}
	if n := s.client.SCard(ctx, "_kombu.binding.reply.celery.pidbox").Val(); n != 0 {
		t.Errorf("%d bindings are left", n)
	}
}

func eventChannel(t *testing.T, s *server) {
	w := brokertest.Start(t, s.consumer(t, "w"))
	defer w.Kill()
	sub := s.client.PSubscribe(t.Context(), "/0.celeryev/*")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	event := broker.Publication{Exchange: "celeryev", RoutingKey: "task.multi", Headers: []byte(`{"hostname": "w"}`), Body: []byte(`[{}]`)}
	if _, err := w.Consumer.(broker.Fanout).Publish(t.Context(), []broker.Publication{event}); err != nil {
		t.Fatal(err)
	}
	m, err := sub.ReceiveMessage(t.Context())
	if err != nil || m.Channel != "/0.celeryev/task.multi" {
		t.Fatalf("%+v, %v", m, err)
	}
	var e struct {
		Body       string
		Headers    map[string]string
		Properties struct {
			Tag string `json:"delivery_tag"`
		}
	}
	if err := json.Unmarshal([]byte(m.Payload), &e); err != nil {
		t.Fatal(err)
	}
	if body, _ := base64.StdEncoding.DecodeString(e.Body); string(body) != "[{}]" || e.Headers["hostname"] != "w" || e.Properties.Tag == "" {
		t.Errorf("%s", m.Payload)
	}
}

func TestFanoutOnMiniredis(t *testing.T) { exerciseFanout(t, mini(t)) }

func TestWithoutAConnectionNothingIsPublished(t *testing.T) {
	c := mini(t).consumer(t, "w")
	_, err := c.Publish(t.Context(), []broker.Publication{{Exchange: "celeryev"}})
	if !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestTopicsAreThoseOfKombu(t *testing.T) {
	tests := []struct{ name, options, key, want string }{
		{"as it comes", `{}`, "task.multi", "/3.celeryev/task.multi"},
		{"without a key", `{}`, "", "/3.celeryev"},
		{"a global prefix", `{"global_keyprefix": "pre:"}`, "a.b", "pre:/3.celeryev/a.b"},
		{"a prefix of one's own", `{"fanout_prefix": "x{db}-"}`, "a", "x3-celeryev/a"},
		{"no prefix", `{"fanout_prefix": false}`, "a", "celeryev/a"},
		{"no patterns", `{"fanout_patterns": false}`, "a", "/3.celeryev"},
		{"beside workers of before kombu 5.4", `{"sentinel_fanout_compat": true}`, "a", "/3.celeryev/a /{db}.celeryev/a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := mini(t).config("w")
			cfg.TransportOptions = raw(t, tt.options)
			c, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for i, topic := range c.topics(3, "celeryev", tt.key) {
				if i > 0 {
					got += " "
				}
				got += topic
			}
			if got != tt.want {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestQueuesAreAddedAndCancelledWhileWeRun(t *testing.T) {
	s := mini(t)
	c := s.consumer(t, "w", "first")
	w := brokertest.Start(t, c)
	for _, queue := range []string{"first", "second"} {
		s.Publish(t, queue, 0, brokertest.Payload("of-"+queue, 0))
	}
	if ds := w.MustTake(10); len(ds) != 1 {
		t.Fatalf("%d taken", len(ds))
	}
	second := broker.Queue{Name: "second", Exchange: "second", ExchangeType: "direct", RoutingKey: "second"}
	for range 2 { // the second time changes nothing
		if err := c.Consume(t.Context(), second); err != nil {
			t.Fatal(err)
		}
	}
	if ds := w.MustTake(10); len(ds) != 1 || ds[0].Queue != "second" {
		t.Fatalf("%v taken", ds)
	}
	if n := s.client.SCard(t.Context(), "_kombu.binding.second").Val(); n != 1 {
		t.Error("the queue has no binding")
	}
	// A Ready comes for what is published to a queue that was added.
	w.MustTake(1)
	s.Publish(t, "second", 0, brokertest.Payload("later", 0))
	brokertest.Await[broker.Ready](w)
	if err := c.Cancel(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	if ds := w.MustTake(10); len(ds) != 0 {
		t.Errorf("%v taken from a queue that was cancelled", ds)
	}
	for _, queue := range []string{"first", "never there"} {
		if err := c.Cancel(t.Context(), queue); err != nil {
			t.Fatal(err)
		}
	}
	if ds := w.MustTake(10); len(ds) != 0 {
		t.Errorf("%v taken from nothing", ds)
	}
}
