//go:build integration

package amqpbroker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"crisper/broker"
	"crisper/broker/amqpbroker/servertest"
	"crisper/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, addr string, change func(*Config)) *Publisher {
	c := config("amqp://" + addr)
	c.ConfirmTimeout = 2 * time.Second
	if change != nil {
		change(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func declaration(queue, exchange, exchangeType, key string) Declaration {
	return Declaration{Queue: queue, Exchange: exchange, ExchangeType: exchangeType, RoutingKey: key, Durable: true, ExchangeDurable: true}
}

func text(id, exchange, key string, declare ...Declaration) Message {
	m, err := Publishing([]byte("[]"), json.RawMessage(fmt.Sprintf(`{"id": %q, "timelimit": [null, null], "n": 1}`, id)),
		json.RawMessage(fmt.Sprintf(`{"content_type": "application/json", "delivery_mode": 2, "priority": 0, "correlation_id": %q}`, id)))
	if err != nil {
		panic(err)
	}
	return Message{Exchange: exchange, RoutingKey: key, Publishing: m, Declare: declare}
}

func fates(t *testing.T, p *Publisher, batch ...Message) []Fate {
	t.Helper()
	results, err := p.Publish(t.Context(), batch)
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	all := make([]Fate, len(results))
	for i, r := range results {
		all[i] = r.Fate
	}
	return all
}

// admin looks from outside.
func admin(t *testing.T, addr string) *amqp.Channel {
	conn, err := amqp.Dial("amqp://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// ids empties a queue.
func ids(t *testing.T, ch *amqp.Channel, queue string) (all []string) {
	t.Helper()
	for {
		m, ok, err := ch.Get(queue, true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, m.CorrelationId)
	}
}

func same[T any](t *testing.T, what string, got []T, want ...T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: want - got +\n%s", what, diff)
	}
}

func TestPublishing(t *testing.T) {
	s := servertest.RabbitMQ(t)
	ch := admin(t, s.Addr())
	for name, run := range map[string]func(*testing.T, string, *amqp.Channel){
		"a batch is declared, confirmed and in order":                      inOrder,
		"what no queue takes is told apart from what was taken":            returned,
		"an inequivalent queue is named and costs only its own messages":   inequivalent,
		"a missing exchange is named and costs only its own messages":      noExchange,
		"a queue that was deleted meanwhile is declared anew":              deletedQueue,
		"an exchange that was deleted meanwhile is declared anew":          deletedExchange,
		"an exchange that vanishes under several messages costs only them": vanished,
		"a full queue that rejects is told":                                full,
		"quorum queues confirm":                                            quorum,
		"a header without an AMQP type is refused alone":                   badHeader,
		"names that are too long are refused alone":                        tooLong,
		"wrong passwords and vhosts are refused and not shown":             wrongLogin,
		"AMQPLAIN logs in":                amqplain,
		"a large batch is cut into parts": large,
	} {
		t.Run(name, func(t *testing.T) { run(t, s.Addr(), ch) })
	}
	t.Run("a message that is too large is found among others", func(t *testing.T) { tooLarge(t, s.Addr(), ch) })
}

func inOrder(t *testing.T, addr string, ch *amqp.Channel) {
	p := connect(t, addr, nil)
	d := declaration("celery", "celery", "direct", "celery")
	var batch []Message
	var want []string
	for i := range 20 {
		id := fmt.Sprint(i)
		batch, want = append(batch, text(id, []string{"", "celery"}[i/10], "celery", d)), append(want, id)
	}
	for i, f := range fates(t, p, batch...) {
		if f != Confirmed {
			t.Errorf("message %d: %v", i, f)
		}
	}
	same(t, "ids", ids(t, ch, "celery"), want...)
}

func returned(t *testing.T, addr string, ch *amqp.Channel) {
	p := connect(t, addr, nil)
	d := declaration("r", "rx", "topic", "a.*")
	same(t, "fates", fates(t, p, text("1", "rx", "a.b", d), text("2", "rx", "b", d), text("3", "rx", "a.c"), text("4", "", "nobody"), text("5", "", "r")),
		Confirmed, Returned, Confirmed, Returned, Confirmed)
	same(t, "ids", ids(t, ch, "r"), "1", "3", "5")
}

func inequivalent(t *testing.T, addr string, ch *amqp.Channel) {
	if _, err := ch.QueueDeclare("old", true, false, false, false, amqp.Table{"x-max-priority": int32(5)}); err != nil {
		t.Fatal(err)
	}
	p := connect(t, addr, nil)
	bad, good := declaration("old", "", "", "old"), declaration("new", "", "", "new")
	results, err := p.Publish(t.Context(), []Message{text("1", "", "old", bad), text("2", "", "new", good), text("3", "", "old", bad), text("4", "", "new", good)})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "fates", []Fate{results[0].Fate, results[1].Fate, results[2].Fate, results[3].Fate}, Refused, Confirmed, Refused, Confirmed)
	if text := results[0].Err.Error(); !strings.Contains(text, `queue "old"`) || !strings.Contains(text, "PRECONDITION_FAILED") {
		t.Error(text)
	}
	bad.Arguments = map[string]json.RawMessage{"x-max-priority": json.RawMessage("5")}
	same(t, "with its arguments", fates(t, p, text("5", "", "old", bad)), Confirmed)
	same(t, "ids", ids(t, ch, "new"), "2", "4")
}

func noExchange(t *testing.T, addr string, _ *amqp.Channel) {
	p := connect(t, addr, nil)
	d := declaration("ne", "", "", "ne")
	results, err := p.Publish(t.Context(), []Message{text("1", "", "ne", d), text("2", "nowhere", "x"), text("3", "", "ne", d), text("4", "nowhere", "y")})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "fates", []Fate{results[0].Fate, results[1].Fate, results[2].Fate, results[3].Fate}, Confirmed, Refused, Confirmed, Refused)
	if !strings.Contains(results[1].Err.Error(), `exchange "nowhere"`) {
		t.Error(results[1].Err)
	}
}

func deletedQueue(t *testing.T, addr string, ch *amqp.Channel) {
	p := connect(t, addr, nil)
	d := declaration("dq", "dqx", "direct", "dq")
	same(t, "first", fates(t, p, text("1", "dqx", "dq", d)), Confirmed)
	if _, err := ch.QueueDelete("dq", false, false, false); err != nil {
		t.Fatal(err)
	}
	same(t, "second", fates(t, p, text("2", "dqx", "dq", d), text("3", "dqx", "dq", d)), Confirmed, Confirmed)
	same(t, "ids", ids(t, ch, "dq"), "2", "3")
}

func deletedExchange(t *testing.T, addr string, ch *amqp.Channel) {
	p := connect(t, addr, nil)
	d := declaration("de", "dex", "direct", "de")
	same(t, "first", fates(t, p, text("1", "dex", "de", d)), Confirmed)
	if err := ch.ExchangeDelete("dex", false, false); err != nil {
		t.Fatal(err)
	}
	same(t, "second", fates(t, p, text("2", "dex", "de", d), text("3", "dex", "de", d)), Confirmed, Confirmed)
	same(t, "ids", ids(t, ch, "de"), "1", "2", "3")
}

func vanished(t *testing.T, addr string, ch *amqp.Channel) {
	p := connect(t, addr, nil)
	d := declaration("va", "", "", "va")
	if err := ch.ExchangeDeclare("vax", "direct", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "first", fates(t, p, text("1", "vax", "x")), Returned)
	if err := ch.ExchangeDelete("vax", false, false); err != nil {
		t.Fatal(err)
	}
	same(t, "second", fates(t, p, text("2", "vax", "x"), text("3", "", "va", d), text("4", "vax", "x")), Refused, Confirmed, Refused)
}

func full(t *testing.T, addr string, ch *amqp.Channel) {
	p := connect(t, addr, nil)
	d := declaration("full", "", "", "full")
	d.Arguments = map[string]json.RawMessage{"x-max-length": json.RawMessage("2"), "x-overflow": json.RawMessage(`"reject-publish"`)}
	for i := range 2 {
		same(t, "room", fates(t, p, text(fmt.Sprint(i), "", "full", d)), Confirmed)
	}
	same(t, "no room", fates(t, p, text("3", "", "full", d)), Nacked)
	same(t, "ids", ids(t, ch, "full"), "0", "1")
}

func quorum(t *testing.T, addr string, ch *amqp.Channel) {
	p := connect(t, addr, func(c *Config) { c.ConfirmTimeout = 10 * time.Second })
	d := declaration("quorum", "qx", "direct", "quorum")
	d.Arguments = map[string]json.RawMessage{"x-queue-type": json.RawMessage(`"quorum"`)}
	same(t, "fates", fates(t, p, text("1", "qx", "quorum", d), text("2", "qx", "quorum", d)), Confirmed, Confirmed)
	same(t, "ids", ids(t, ch, "quorum"), "1", "2")
}

func badHeader(t *testing.T, addr string, ch *amqp.Channel) {
	p := connect(t, addr, nil)
	d := declaration("bh", "", "", "bh")
	bad := text("2", "", "bh", d)
	bad.Publishing.Headers = amqp.Table{"x": struct{}{}}
	same(t, "fates", fates(t, p, text("1", "", "bh", d), bad, text("3", "", "bh", d)), Confirmed, Refused, Confirmed)
	same(t, "ids", ids(t, ch, "bh"), "1", "3")
}

func tooLong(t *testing.T, addr string, ch *amqp.Channel) {
	p := connect(t, addr, nil)
	d, long := declaration("tooLong", "", "", "tooLong"), strings.Repeat("x", 256)
	key, id, queue := text("2", "", long, d), text(long, "", "tooLong", d), text("3", "", "tooLong", declaration(long, "", "", long))
	same(t, "fates", fates(t, p, text("1", "", "tooLong", d), key, id, queue, text("4", "", "tooLong", d)), Confirmed, Refused, Refused, Refused, Confirmed)
	same(t, "ids", ids(t, ch, "tooLong"), "1", "4")
}

func wrongLogin(t *testing.T, addr string, _ *amqp.Channel) {
	for _, url := range []string{"amqp://guest:s3cret@" + addr, "amqp://nobody:s3cret@" + addr, "amqp://" + addr + "/s3nowhere"} {
		p := connect(t, "", func(c *Config) { c.URLs = []string{url, url} })
		_, first := p.Publish(t.Context(), []Message{text("1", "", "q")})
		said := []error{first}
		// A server that others keep from answering has not refused anybody.
		for try := 0; try < 8 && errors.Is(said[try], broker.ErrUnavailable); try++ {
			_, next := p.Publish(t.Context(), []Message{text("1", "", "q")})
			said = append(said, next)
		}
		if !errors.Is(first, broker.ErrUnavailable) || !errors.Is(said[len(said)-1], broker.ErrRefused) {
			t.Errorf("it said %v", said)
		}
		if strings.Contains(fmt.Sprint(said), "s3cret") {
			t.Errorf("a password shows in %v", said)
		}
	}
}

func amqplain(t *testing.T, addr string, _ *amqp.Channel) {
	p := connect(t, addr, func(c *Config) { c.LoginMethod = "AMQPLAIN" })
	same(t, "fates", fates(t, p, text("1", "", "al", declaration("al", "", "", "al"))), Confirmed)
}

func large(t *testing.T, addr string, ch *amqp.Channel) {
	p := connect(t, addr, func(c *Config) { c.ConfirmTimeout = 20 * time.Second })
	d := declaration("large", "", "", "large")
	var batch []Message
	for i := range 1000 {
		batch = append(batch, text(fmt.Sprint(i), "", "large", d))
	}
	for i, f := range fates(t, p, batch...) {
		if f != Confirmed {
			t.Fatalf("message %d: %v", i, f)
		}
	}
	if got := ids(t, ch, "large"); len(got) != 1000 || got[999] != "999" {
		t.Errorf("%d messages", len(got))
	}
}

// tooLarge: RabbitMQ 3.10 takes up to 128 MiB; a body of zeros costs little.
func tooLarge(t *testing.T, addr string, ch *amqp.Channel) {
	p := connect(t, addr, func(c *Config) { c.ConfirmTimeout = 60 * time.Second })
	d := declaration("tl", "", "", "tl")
	bad := text("2", "", "tl", d)
	bad.Publishing.Body = make([]byte, 129<<20)
	results, err := p.Publish(t.Context(), []Message{text("1", "", "tl", d), bad, text("3", "", "tl", d)})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "fates", []Fate{results[0].Fate, results[1].Fate, results[2].Fate}, Confirmed, Refused, Confirmed)
	seen := map[string]bool{}
	for _, id := range ids(t, ch, "tl") {
		seen[id] = true
	}
	if !seen["1"] || !seen["3"] || len(seen) != 2 {
		t.Errorf("ids %v", seen)
	}
}

func TestConnectionsThatBreak(t *testing.T) {
	s := servertest.RabbitMQ(t)
	ch := admin(t, s.Addr())
	proxy := servertest.NewProxy(t, s.Addr())
	d := declaration("b", "", "", "b")
	for name, fault := range map[string]func(testing.TB) func(){"half-open": proxy.HalfOpen, "lost confirms": proxy.LoseAnswers, "closed": proxy.Cut} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, proxy.Addr(), nil)
			same(t, "before", fates(t, p, text("1", "", "b", d)), Confirmed)
			heal := sync.OnceFunc(fault(t))
			defer heal() // also for the tests that follow a failure
			began, bound := time.Now(), brokertest.Bound(7*time.Second)
			results, err := p.Publish(t.Context(), []Message{text("2", "", "b", d), text("3", "", "b", d)})
			if !errors.Is(err, broker.ErrUnavailable) || results[0].Fate != Unknown || results[1].Fate != Unknown {
				t.Fatalf("%v %v", results, err)
			}
			if took := time.Since(began); took > bound() {
				t.Errorf("noticed after %v", took)
			}
			heal()
			same(t, "after", fates(t, p, text("4", "", "b", d)), Confirmed)
			ids(t, ch, "b")
		})
	}
	t.Run("a call ends with its context", func(t *testing.T) {
		p := connect(t, proxy.Addr(), nil)
		same(t, "before", fates(t, p, text("1", "", "b", d)), Confirmed)
		heal := proxy.HalfOpen(t)
		defer heal()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := p.Publish(ctx, []Message{text("2", "", "b", d)})
		if !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the next URL is used", func(t *testing.T) {
		p := connect(t, "", func(c *Config) { c.URLs = []string{"amqp://127.0.0.1:1;amqp://" + s.Addr()} })
		if _, err := p.Publish(t.Context(), []Message{text("1", "", "b", d)}); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		same(t, "fates", fates(t, p, text("1", "", "b", d)), Confirmed)
	})
	t.Run("confirmed messages survive kill -9 of the broker", func(t *testing.T) {
		p := connect(t, s.Addr(), func(c *Config) { c.ConfirmTimeout = 10 * time.Second })
		e := declaration("survivors", "", "", "survivors")
		same(t, "before", fates(t, p, text("1", "", "survivors", e), text("2", "", "survivors", e)), Confirmed, Confirmed)
		s.Kill()
		s.Start()
		if _, err := p.Publish(t.Context(), []Message{text("3", "", "survivors", e)}); err != nil && !errors.Is(err, broker.ErrUnavailable) {
			t.Error(err)
		}
		same(t, "after", fates(t, p, text("4", "", "survivors", e)), Confirmed)
		got := ids(t, admin(t, s.Addr()), "survivors")
		if len(got) < 3 || got[0] != "1" || got[1] != "2" || got[len(got)-1] != "4" {
			t.Errorf("ids %q", got)
		}
	})
}

func TestTLS(t *testing.T) {
	cert, key := servertest.Certificate(t)
	port := servertest.FreePort(t)
	servertest.RabbitMQ(t, fmt.Sprintf("listeners.ssl.1 = 127.0.0.1:%d", port), "ssl_options.certfile = "+cert, "ssl_options.keyfile = "+key,
		"ssl_options.verify = verify_none", "ssl_options.cacertfile = "+cert)
	d := declaration("tls", "", "", "tls")
	for useSSL, works := range map[string]bool{
		fmt.Sprintf(`{"ca_certs": %q}`, cert):                                 true,
		fmt.Sprintf(`{"ca_certs": %q, "server_hostname": null}`, cert):        true,
		fmt.Sprintf(`{"ca_certs": %q, "server_hostname": "elsewhere"}`, cert): false,
		`true`:             false, // nobody's authority has signed it
		`{"cert_reqs": 0}`: true,
	} {
		p := connect(t, "", func(c *Config) {
			c.URLs, c.UseSSL = []string{fmt.Sprintf("amqps://127.0.0.1:%d", port)}, json.RawMessage(useSSL)
		})
		results, err := p.Publish(t.Context(), []Message{text("1", "", "tls", d)})
		if works != (err == nil && results[0].Fate == Confirmed) {
			t.Errorf("%s: %v %v", useSSL, results, err)
		}
	}
}
