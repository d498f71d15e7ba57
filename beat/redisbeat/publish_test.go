package redisbeat

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"crisper/beat"
	"crisper/beat/beattest"
	"crisper/beat/message"
	"crisper/broker"
	"crisper/broker/redisbroker"
)

func options(t *testing.T, object string) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func publish(t *testing.T, p *Publisher, batch ...beat.Publication) []beat.Outcome {
	t.Helper()
	outcomes, err := p.Publish(t.Context(), 1, batch)
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	return outcomes
}

// via is a tick that goes through an exchange.
func via(exchange, exchangeType, routingKey string, n int, declare ...message.Declaration) beat.Publication {
	p := beattest.Tick("q", fmt.Sprintf("%s/%s", exchange, routingKey), n)
	p.Message = beattest.Message(fmt.Sprint("id", n), exchange, exchangeType, routingKey)
	p.Message.Declare = declare
	return p
}

func TestAMessageGoesToTheListOfItsPriorityStep(t *testing.T) {
	w := mini(t)
	p := w.publisher(t)
	var batch []beat.Publication
	for i, priority := range []int{0, 2, 3, 5, 6, 9, 12, -1} {
		b := beattest.Tick("q", fmt.Sprint("e", i), 1)
		b.Message.TaskID, b.Message.Envelope = "", []byte(fmt.Sprintf(`{"headers": {"id": "p%d"}}`, priority))
		b.Message.Priority = priority
		batch = append(batch, b)
	}
	publish(t, p, batch...)
	want := map[string][]string{"q": {"p0", "p2", "p-1"}, "q/3": {"p3", "p5"}, "q/6": {"p6"}, "q/9": {"p9", "p12"}}
	if diff := cmp.Diff(want, w.lists(t)); diff != "" {
		t.Error(diff)
	}
}

func TestExchangesReachTheQueuesThatKombuWouldFind(t *testing.T) {
	w := mini(t)
	p := w.publisher(t)
	topic := func(queue, key string) message.Declaration {
		return beattest.Declaration(queue, "news", "topic", key)
	}
	outcomes := publish(t, p,
		via("news", "topic", "eu.sport", 1, topic("all", "#"), topic("sport", "*.sport"), topic("eu", "eu.#"), topic("odd", "größe.a-b")),
		via("news", "topic", "größe.a-b", 2),
		via("news", "topic", "eu", 3),
		via("work", "direct", "fast", 4, beattest.Declaration("q1", "work", "direct", "fast"), beattest.Declaration("q2", "work", "direct", "fast")),
		via("work", "direct", "nobody", 5),
		via("", "direct", "", 6),
		via("odd", "headers", "x", 7))
	P, U := beat.Published, beat.Unroutable
	if diff := cmp.Diff([]beat.Outcome{P, P, P, P, U, U, U}, outcomes); diff != "" {
		t.Error(diff)
	}
	// kombu's # needs the dot before it: eu.# does not match eu.
	want := map[string][]string{"all": {"id1", "id2", "id3"}, "sport": {"id1"}, "eu": {"id1"}, "odd": {"id2"}, "q1": {"id4"}, "q2": {"id4"}}
	if diff := cmp.Diff(want, w.lists(t)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatNoQueueTakesGoesToTheDeadLetterQueueOfTheTransportOptions(t *testing.T) {
	w := mini(t)
	w.change = func(c *Config) { c.Broker.TransportOptions = options(t, `{"deadletter_queue": "dead"}`) }
	publish(t, w.publisher(t), via("work", "direct", "nobody", 1), via("news", "topic", "nobody", 2))
	if diff := cmp.Diff(map[string][]string{"dead": {"id1"}}, w.lists(t)); diff != "" {
		t.Error(diff)
	}
}

func TestAFanoutMessageIsPublishedOnKombusChannel(t *testing.T) {
	for want, given := range map[string]string{
		"/0.cast":       `{}`,
		"pre:/0.cast":   `{"global_keyprefix": "pre:"}`,
		"cast":          `{"fanout_prefix": false}`,
		"x0/cast":       `{"fanout_prefix": "x{db}/"}`,
		"/0.cast/a.b":   `{}`,
		"x0/cast/a.b":   `{"fanout_prefix": "x{db}/", "fanout_patterns": true}`,
		"/0.cast#plain": `{"fanout_patterns": false}`,
	} {
		key := ""
		if strings.HasSuffix(want, "a.b") || strings.HasSuffix(want, "#plain") {
			key = "a.b"
		}
		want = strings.TrimSuffix(want, "#plain")
		w := mini(t)
		w.change = func(c *Config) { c.Broker.TransportOptions = options(t, given) }
		listener := w.client.Subscribe(t.Context(), want)
		if _, err := listener.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		outcomes := publish(t, w.publisher(t), via("cast", "fanout", key, 1))
		if outcomes[0] != beat.Published {
			t.Errorf("%s: outcome %v", want, outcomes[0])
		}
		m, err := listener.ReceiveMessage(t.Context())
		if err != nil || !strings.Contains(m.Payload, "id1") {
			t.Errorf("%s: %v %v", want, m, err)
		}
		listener.Close()
	}
}

func TestDeclarationsWriteTheBindingsThatKombuWrites(t *testing.T) {
	w := mini(t)
	w.change = func(c *Config) { c.Broker.TransportOptions = options(t, `{"global_keyprefix": "pre:"}`) }
	d := beattest.Declaration("celery", "celery", "direct", "celery")
	expiring := beattest.Declaration("brief", "work", "topic", "a.*")
	expiring.Arguments = map[string]json.RawMessage{"x-expires": json.RawMessage("60000")}
	there := beattest.Declaration("there", "there", "direct", "there")
	there.NoDeclare = true
	publish(t, w.publisher(t), via("", "direct", "celery", 1, d, expiring, there, beattest.Declaration("bare", "", "", "")))
	members := func(key string) []string {
		return strings.Split(strings.ReplaceAll(strings.Join(w.client.SMembers(t.Context(), key).Val(), " "), "\x06\x16", "|"), " ")
	}
	for key, want := range map[string]string{
		"pre:_kombu.binding.celery": "celery||celery", "pre:_kombu.binding_permanent.celery": "celery||celery",
		"pre:_kombu.binding.work": `a.*|^a\.[^\.]+$|brief`, "pre:_kombu.binding_permanent.work": "", "pre:_kombu.binding.there": "there||there",
	} {
		if got := members(key); got[0] != want || len(got) != 1 {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	// Twice the queue's lifetime, an hour at least.
	deadline := w.client.ZScore(t.Context(), "pre:_kombu.binding_deadlines", "work").Val()
	if left := time.Until(time.UnixMilli(int64(deadline))); left < 59*time.Minute || left > 61*time.Minute {
		t.Errorf("deadline in %v", left)
	}
}

func TestAQueueThatExpiresLivesOnWithEachMessage(t *testing.T) {
	w := mini(t)
	p := w.publisher(t)
	d := beattest.Declaration("brief", "brief", "direct", "brief")
	d.Arguments = map[string]json.RawMessage{"x-expires": json.RawMessage("60000")}
	if err := w.client.LPush(t.Context(), "brief\x06\x166", `{}`).Err(); err != nil {
		t.Fatal(err)
	}
	publish(t, p, via("", "direct", "brief", 1, d))
	for _, list := range []string{"brief", "brief\x06\x166"} {
		if left := w.client.PTTL(t.Context(), list).Val(); left <= 0 || left > time.Minute {
			t.Errorf("%q lives for %v", list, left)
		}
	}
}

func TestAPlaceThatTakesNoMessageDoesNotHoldUpTheOthers(t *testing.T) {
	w := mini(t)
	logs, seen := observer.New(zap.WarnLevel)
	w.change = func(c *Config) { c.Log = zap.New(logs) }
	if err := w.client.Set(t.Context(), "bad", "no list", 0).Err(); err != nil {
		t.Fatal(err)
	}
	outcomes := publish(t, w.publisher(t), beattest.Tick("q", "e", 1), beattest.Tick("bad", "f", 1), beattest.Tick("q", "g", 1))
	if diff := cmp.Diff([]beat.Outcome{beat.Published, beat.Unroutable, beat.Published}, outcomes); diff != "" {
		t.Error(diff)
	}
	if n := seen.FilterField(zap.String("entry", "f")).Len(); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

func TestATickThatNoQueueTakesIsNamedUnlessTheAppCouldNotMakeIt(t *testing.T) {
	w := mini(t)
	logs, seen := observer.New(zap.WarnLevel)
	w.change = func(c *Config) { c.Log = zap.New(logs) }
	lost, unmade := beattest.Tick("q", "lost", 1), beattest.Tick("q", "unmade", 1)
	lost.Message.RoutingKey, lost.Message.Declare = "", nil
	unmade.Message = message.Message{TaskID: unmade.Message.TaskID}
	outcomes := publish(t, w.publisher(t), lost, unmade)
	if diff := cmp.Diff([]beat.Outcome{beat.Unroutable, beat.Unroutable}, outcomes); diff != "" {
		t.Error(diff)
	}
	if seen.Len() != 1 || seen.FilterField(zap.String("entry", "lost")).Len() != 1 {
		t.Errorf("warnings: %v", seen.All())
	}
}

func TestSchedulesOnOneBrokerDoNotMix(t *testing.T) {
	w := mini(t)
	one := w.publisher(t)
	w.change = func(c *Config) { c.Schedule = "other" }
	other := w.publisher(t)
	fresh := map[string]beat.Record{"e": {Last: beattest.Start}}
	if _, err := one.Register(t.Context(), 5, fresh); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Register(t.Context(), 1, map[string]beat.Record{}); err != nil {
		t.Fatal(err)
	}
	publish(t, other, beattest.Tick("q", "e", 1))
	if _, err := one.Publish(t.Context(), 5, beattest.Ticks("q", "e", 2, 2)); err != nil {
		t.Fatal(err)
	}
	keys := w.client.Keys(t.Context(), "crisper.*").Val()
	slices.Sort(keys)
	if diff := cmp.Diff([]string{"crisper.beat.records.other", "crisper.beat.records.proj", "crisper.beat.token.other", "crisper.beat.token.proj"}, keys); diff != "" {
		t.Error(diff)
	}
	records := w.client.HGetAll(t.Context(), "crisper.beat.records.proj").Val()
	if got := slices.Collect(maps.Values(records)); len(got) != 1 || got[0] != fmt.Sprintf("%d 2 5 %s", beattest.At(2).UnixMicro(), beattest.TaskID("e", beattest.At(2))) {
		t.Errorf("records %q", records)
	}
}

func TestAWrongPasswordIsRefusedAfterEveryURLWasTriedAndIsInNoError(t *testing.T) {
	w := mini(t)
	w.server.RequireAuth("right")
	w.change = func(c *Config) {
		c.Broker.URLs = []string{"redis://:s3cret1@" + w.Addr() + "/0;redis://:s3cret2@" + w.Addr() + "/0"}
	}
	p := w.publisher(t)
	_, first := p.Register(t.Context(), 1, nil)
	_, second := p.Register(t.Context(), 1, nil)
	if !errors.Is(first, beat.ErrUnavailable) || !errors.Is(second, broker.ErrRefused) {
		t.Errorf("first %v, then %v", first, second)
	}
	if strings.Contains(fmt.Sprint(first, second), "s3cret") {
		t.Errorf("a password shows in %v, %v", first, second)
	}
}

func TestTheNextURLIsUsedWhenOneIsAway(t *testing.T) {
	w := mini(t)
	w.change = func(c *Config) {
		c.Broker.URLs = []string{"redis://127.0.0.1:1/0", "redis://" + w.Addr() + "/0"}
	}
	p := w.publisher(t)
	_, err := p.Publish(t.Context(), 1, beattest.Ticks("q", "e", 1, 1))
	if !errors.Is(err, beat.ErrUnavailable) {
		t.Errorf("first %v", err)
	}
	publish(t, p, beattest.Tick("q", "e", 1))
}

func TestWrongSettingsAreToldAtOnce(t *testing.T) {
	cfg := Config{Broker: redisbroker.Defaults(), Schedule: "s"}
	if _, err := New(cfg); err == nil {
		t.Error("no URL, no error")
	}
	cfg.Broker.URLs, cfg.Schedule = []string{"redis://x"}, ""
	if _, err := New(cfg); err == nil {
		t.Error("no name, no error")
	}
	cfg.Schedule, cfg.Broker.TransportOptions = "s", options(t, `{"fanout_prefix": 7}`)
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "fanout_prefix") {
		t.Errorf("got %v", err)
	}
}
