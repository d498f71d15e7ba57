//go:build integration

package redisbeat

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"crisper/beat"
	"crisper/beat/beattest"
	"crisper/beat/message"
	"crisper/broker/amqpbroker/servertest"
)

func TestConformanceOnRedis(t *testing.T) {
	s := servertest.Redis(t)
	beattest.Exercise(t, harness(func(t *testing.T) *world {
		w := newWorld(t, s.Addr())
		if err := w.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return w
	}))
}

// sample is a message as both sides of the comparison read it.
type sample struct {
	ID           string                `json:"id"`
	Exchange     string                `json:"exchange"`
	ExchangeType string                `json:"exchange_type"`
	RoutingKey   string                `json:"routing_key"`
	Priority     int                   `json:"priority"`
	Declare      []message.Declaration `json:"declare"`
}

func samples(expiring bool) []sample {
	d := beattest.Declaration
	list := []sample{
		{"1", "", "direct", "celery", 0, []message.Declaration{d("celery", "celery", "direct", "celery")}},
		{"2", "", "direct", "celery", 4, []message.Declaration{d("celery", "celery", "direct", "celery")}},
		{"3", "", "direct", "celery", 11, nil},
		{"4", "news", "topic", "eu.sport.x", 0, []message.Declaration{d("all", "news", "topic", "#"), d("sport", "news", "topic", "*.sport.#"), d("big", "news", "topic", "größe.a-b c")}},
		{"5", "news", "topic", "größe.a-b c", 9, nil},
		{"6", "work", "direct", "fast", 0, []message.Declaration{d("q1", "work", "direct", "fast"), d("q2", "work", "direct", "fast"), d("q3", "work", "direct", "slow")}},
		{"7", "work", "direct", "nobody", 0, nil},
		{"8", "", "direct", "bare", 0, []message.Declaration{d("bare", "", "direct", "bare")}},
	}
	if expiring {
		brief := d("brief", "work", "direct", "brief")
		brief.Arguments = map[string]json.RawMessage{"x-expires": json.RawMessage("600000")}
		list = append(list, sample{"9", "work", "direct", "brief", 3, []message.Declaration{brief}})
	}
	return list
}

func compareWithKombu(t *testing.T, python string, expiring bool) {
	s := servertest.Redis(t)
	list := samples(expiring)
	stdin, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	url := func(db int) string { return fmt.Sprintf("redis://%s/%d", s.Addr(), db) }
	want := servertest.Python(t, python, "testdata/publish.py", stdin, "send", url(1))
	w := newWorld(t, s.Addr())
	p := w.publisher(t)
	for i, m := range list {
		b := via(m.Exchange, m.ExchangeType, m.RoutingKey, i+1, m.Declare...)
		b.Message.Envelope = fmt.Appendf(nil, `{"headers": {"id": %q}}`, m.ID)
		b.Message.Priority = m.Priority
		publish(t, p, b)
	}
	got := servertest.Python(t, python, "testdata/publish.py", nil, "dump", url(0))
	var a, b map[string]any
	if json.Unmarshal(want, &a) != nil || json.Unmarshal(got, &b) != nil || len(a) == 0 {
		t.Fatalf("dumps %s, %s", want, got)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("kombu - we +\n%s", diff)
	}
}

func TestTheNewestKombuLeavesTheSameInRedis(t *testing.T) {
	compareWithKombu(t, "CRISPER_TEST_PYTHON", true)
}

// The oldest knows no x-expires and no permanent bindings, which it does not mind.
func TestTheOldestKombuFindsWhatItWouldHaveWritten(t *testing.T) {
	s := servertest.Redis(t)
	list := samples(false)
	stdin, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	out := servertest.Python(t, "CRISPER_TEST_PYTHON_OLD", "testdata/publish.py", stdin, "send", "redis://"+s.Addr()+"/0")
	w := newWorld(t, s.Addr())
	p := w.publisher(t)
	var before map[string]struct{ Holds []string }
	if err := json.Unmarshal(out, &before); err != nil {
		t.Fatal(err)
	}
	for i, m := range list { // nothing is declared: the bindings are kombu's
		b := via(m.Exchange, m.ExchangeType, m.RoutingKey, i+1)
		b.Message.Envelope = fmt.Appendf(nil, `{"headers": {"id": %q}}`, m.ID)
		b.Message.Priority = m.Priority
		publish(t, p, b)
	}
	for key, was := range before {
		if w.client.Type(t.Context(), key).Val() != "list" {
			continue
		}
		if diff := cmp.Diff(append(was.Holds, was.Holds...), w.Sent(t, key)); diff != "" {
			t.Errorf("%q: %s", key, diff)
		}
	}
}

func TestNothingIsMissedOrDoubledWhenRedisIsKilledAndRestarted(t *testing.T) {
	s := servertest.Redis(t)
	w := newWorld(t, s.Addr())
	p := w.publisher(t)
	if _, err := p.Register(t.Context(), 1, map[string]beat.Record{"e": {Last: beattest.Start}}); err != nil {
		t.Fatal(err)
	}
	const ticks = 3000
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for range 3 {
			time.Sleep(150 * time.Millisecond) // at any moment of the publishing
			s.Kill()
			s.Start()
		}
	}()
	var want []string
	for n := 1; n <= ticks; n += 3 {
		batch := beattest.Ticks("q", "e", n, n+2)
		for {
			_, err := p.Publish(t.Context(), 1, batch)
			if err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond) // the owner's back-off
		}
		for _, b := range batch {
			want = append(want, b.Message.TaskID)
		}
	}
	<-killed
	if diff := cmp.Diff(want, w.Sent(t, "q")); diff != "" {
		t.Error(diff)
	}
}

func TestAUserOfTheACLNeedsTheseKeysOnly(t *testing.T) {
	s := servertest.Redis(t)
	w := newWorld(t, s.Addr())
	rules := []any{"ACL", "SETUSER", "beat", "on", ">pw", "~crisper.beat.*", "~celery*", "~_kombu.binding*", "+@read", "+@write", "+@scripting", "+@connection", "+time"}
	if err := w.client.Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	w.change = func(c *Config) { c.Broker.URLs = []string{"redis://beat:pw@" + w.Addr() + "/0"} }
	p := w.publisher(t)
	if _, err := p.Register(t.Context(), 1, map[string]beat.Record{"e": {Last: beattest.Start}}); err != nil {
		t.Fatal(err)
	}
	publish(t, p, beattest.Tick("celery", "e", 1))
}

// BenchmarkPublish tells ticks per second, and what the script costs the server.
func BenchmarkPublish(b *testing.B) {
	s := servertest.Redis(b, "--appendonly", "no")
	client := redis.NewClient(&redis.Options{Addr: s.Addr()})
	defer client.Close()
	for _, size := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("batch=", size), func(b *testing.B) {
			cfg := &world{change: func(c *Config) { c.Broker.URLs = []string{"redis://" + s.Addr() + "/0"} }}
			cfg.Proxy = servertest.NewProxy(b, s.Addr())
			p := cfg.publisher(b)
			client.FlushAll(b.Context())
			client.ConfigResetStat(b.Context())
			batch := make([]beat.Publication, size)
			n := 0
			for b.Loop() {
				n++
				for i := range batch {
					batch[i] = beattest.Tick("q", fmt.Sprint("entry ", i), n)
				}
				if _, err := p.Publish(b.Context(), 1, batch); err != nil {
					b.Fatal(err)
				}
				if n%200 == 0 {
					client.Del(b.Context(), "q")
				}
			}
			b.ReportMetric(float64(n*size)/b.Elapsed().Seconds(), "ticks/s")
			stats, _ := client.InfoMap(b.Context(), "commandstats").Result()
			b.ReportMetric(usec(stats["Commandstats"]["cmdstat_evalsha"])/float64(n*size), "script-us/tick")
		})
	}
}

func usec(stat string) float64 {
	var calls, us float64
	_, _ = fmt.Sscanf(stat, "calls=%f,usec=%f", &calls, &us)
	return us
}

func TestTLSAndUnixSockets(t *testing.T) {
	cert, key := servertest.Certificate(t)
	port, socket := servertest.FreePort(t), filepath.Join(t.TempDir(), "s")
	s := servertest.Redis(t, "--tls-port", fmt.Sprint(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert,
		"--tls-auth-clients", "no", "--unixsocket", socket)
	for n, c := range []struct {
		url   string
		works bool
	}{
		{fmt.Sprintf("rediss://127.0.0.1:%d/0?ssl_cert_reqs=required&ssl_ca_certs=%s", port, cert), true},
		{fmt.Sprintf("rediss://127.0.0.1:%d/0?ssl_cert_reqs=none", port), true},
		{fmt.Sprintf("rediss://127.0.0.1:%d/0?ssl_cert_reqs=required", port), false},
		{"redis+socket://" + socket + "?virtual_host=0", true},
	} {
		w := &world{Proxy: servertest.NewProxy(t, s.Addr()), change: func(cfg *Config) { cfg.Broker.URLs = []string{c.url} }}
		if _, err := w.publisher(t).Publish(t.Context(), 1, beattest.Ticks("q", "e", n+1, n+1)); (err == nil) != c.works {
			t.Errorf("%s: %v", c.url, err)
		}
	}
}

func TestTheMasterIsAskedOfASentinel(t *testing.T) {
	s := servertest.Redis(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "sentinel monitor mine 127.0.0.1 %d 1\n", s.Port), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := servertest.Sentinel(t, conf)
	w := &world{Proxy: servertest.NewProxy(t, s.Addr()), change: func(c *Config) {
		c.Broker.URLs = []string{"sentinel://" + sentinel.Addr() + "/0"}
		c.Broker.TransportOptions = options(t, `{"master_name": "mine"}`)
	}}
	publish(t, w.publisher(t), beattest.Tick("q", "e", 1))
}
