package redisbeat

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"crisper/beat"
	"crisper/beat/beattest"
	"crisper/broker/amqpbroker/servertest"
	"crisper/broker/redisbroker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout is long enough for a loaded machine and short enough to wait for.
const testTimeout = time.Second

// world is a Redis for tests, real or not, behind a proxy.
type world struct {
	*servertest.Proxy
	client *redis.Client        // looks from outside
	server *miniredis.Miniredis // nil for a real one
	change func(*Config)
}

func newWorld(t testing.TB, addr string) *world {
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { client.Close() })
	return &world{Proxy: servertest.NewProxy(t, addr), client: client}
}

func mini(t testing.TB) *world {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	w := newWorld(t, m.Addr())
	w.server = m
	return w
}

func (w *world) Connect(t testing.TB) beat.Publisher { return w.publisher(t) }

func (w *world) publisher(t testing.TB) *Publisher {
	cfg := Config{Broker: redisbroker.Defaults(), Schedule: "proj", CallTimeout: testTimeout}
	cfg.Broker.URLs = []string{"redis://" + w.Addr() + "/0"}
	if w.change != nil {
		w.change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func (w *world) Sent(t testing.TB, queue string) []string {
	texts, err := w.client.LRange(context.Background(), queue, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(texts))
	for i, text := range texts {
		var m struct{ Headers struct{ ID string } }
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		ids[i] = m.Headers.ID
	}
	slices.Reverse(ids)
	return ids
}

// lists tells what is in all lists, in the order of sending.
func (w *world) lists(t testing.TB) map[string][]string {
	keys, err := w.client.Keys(context.Background(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, key := range keys {
		if kind := w.client.Type(context.Background(), key).Val(); kind == "list" {
			all[strings.ReplaceAll(key, "\x06\x16", "/")] = w.Sent(t, key)
		}
	}
	return all
}

func harness(create func(t *testing.T) *world) beattest.Harness {
	return beattest.Harness{CallTimeout: testTimeout, New: func(t *testing.T) beattest.World { return create(t) }}
}

func TestConformanceOnMiniredis(t *testing.T) {
	beattest.Exercise(t, harness(func(t *testing.T) *world { return mini(t) }))
}
