package redisbroker

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"crisper/broker"
	"crisper/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testPresence is long enough for a loaded machine and short enough to wait for.
const testPresence = time.Second

// server is a Redis for tests, real or not.
type server struct {
	url    string
	client *redis.Client // looks from outside
	keys   layout
	change func(*Config)
}

func newServer(t testing.TB, url string) *server {
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(o)
	t.Cleanup(func() { client.Close() })
	return &server{url: url, client: client, keys: newLayout(defaultOptions(), "")}
}

func mini(t testing.TB) *server {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return newServer(t, "redis://"+m.Addr())
}

func (s *server) config(workerID string, queues ...string) Config {
	cfg := Defaults()
	cfg.URLs, cfg.WorkerID, cfg.Presence = []string{s.url}, workerID, testPresence
	for _, q := range queues {
		cfg.Queues = append(cfg.Queues, broker.Queue{Name: q, Exchange: q, ExchangeType: "direct", RoutingKey: q})
	}
	if s.change != nil {
		s.change(&cfg)
	}
	return cfg
}

func (s *server) Connect(t testing.TB, workerID string, queues ...string) broker.Consumer {
	return s.consumer(t, workerID, queues...)
}

func (s *server) consumer(t testing.TB, workerID string, queues ...string) *Consumer {
	c, err := New(s.config(workerID, queues...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *server) Publish(t testing.TB, queue string, priority int, payload []byte) {
	if err := s.client.LPush(context.Background(), s.keys.list(queue, priority), payload).Err(); err != nil {
		t.Fatal(err)
	}
}

func (s *server) Waiting(t testing.TB, queue string) (all [][]byte) {
	for _, list := range s.keys.lists([]string{queue}) {
		payloads, err := s.client.LRange(context.Background(), list, 0, -1).Result()
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(payloads)
		for _, p := range payloads {
			all = append(all, []byte(p))
		}
	}
	return all
}

func (s *server) Parked(t testing.TB) (all [][]byte) {
	letters, err := s.client.LRange(context.Background(), s.keys.deadLetter, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		all = append(all, []byte(l))
	}
	return all
}

var _ brokertest.Server = (*server)(nil)

func TestConformanceOnMiniredis(t *testing.T) {
	brokertest.Exercise(t, brokertest.Harness{Presence: testPresence, New: func(t *testing.T) brokertest.Server { return mini(t) }})
}
