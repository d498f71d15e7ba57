//go:build integration

package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/rs/zerolog"

	"crisper/broker"
	"crisper/broker/brokertest"
)

// throughProxy is a server whose connections can be made half-open: both ends
// believe in them, and nothing passes.
func throughProxy(t *testing.T, p *process) (*server, *toxiproxy.Proxy) {
	hub := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(hub, "redis", "127.0.0.1:0", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err := hub.Collection.Add(proxy, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	s := p.server()
	s.change = func(c *Config) { c.URLs = []string{"redis://" + proxy.Listen + "/0"} }
	return s, proxy
}

func halfOpen(t *testing.T, proxy *toxiproxy.Proxy, direction stream.Direction) (repair func()) {
	t.Helper()
	name := fmt.Sprint("hole", direction)
	text := fmt.Sprintf(`{"name": %q, "type": "timeout", "stream": %q, "attributes": {"timeout": 0}}`, name, direction)
	if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := proxy.Toxics.RemoveToxic(context.Background(), name); err != nil {
			t.Error(err)
		}
	}
}

func TestAHalfOpenConnectionIsNoticedWithinSecondsAndNothingIsLost(t *testing.T) {
	s, proxy := throughProxy(t, spawn(t))
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	s.Publish(t, "q", 0, brokertest.Payload("a", 0))
	held := w.MustTake(1)
	w.MustTake(1) // the waiters wait on connections that are about to go dead
	begin, bound := time.Now(), brokertest.Bound(5*time.Second)
	repair := halfOpen(t, proxy, stream.Downstream)
	brokertest.Await[broker.Disconnected](w)
	if took := time.Since(begin); took > bound() {
		t.Errorf("noticed after %s", took)
	}
	repair()
	brokertest.Await[broker.Connected](w)
	if gone := w.MustSettle(brokertest.All(held, broker.Ack)...); len(gone) != 0 {
		t.Fatalf("gone: %q", gone)
	}
	w.MustTake(1)
	s.Publish(t, "q", 0, brokertest.Payload("b", 0))
	brokertest.Await[broker.Ready](w)
}

func TestATakeWhoseAnswerWasLostIsGivenBack(t *testing.T) {
	s, proxy := throughProxy(t, spawn(t))
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	w.MustTake(1) // the server knows the script from here on
	for _, tag := range []string{"a", "b", "c"} {
		s.Publish(t, "q", 0, brokertest.Payload(tag, 0))
	}
	repair := halfOpen(t, proxy, stream.Downstream) // requests arrive, answers do not
	if _, err := w.Take(t.Context(), 2); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatalf("take: %v", err)
	}
	if n := s.client.HLen(t.Context(), s.keys.unacked).Val(); n != 2 {
		t.Fatalf("%d unacked: the take did not arrive", n)
	}
	repair()
	brokertest.Await[broker.Connected](w)
	if got := brokertest.IDs(w.MustTake(5)); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Fatalf("taken %q", got)
	}
}

func TestATakeThatBeganAndWhoseAnswerWasLostIsGivenBackAsNeverBegun(t *testing.T) {
	s, proxy := throughProxy(t, spawn(t))
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	w.MustTake(1) // the server knows the script from here on
	s.Publish(t, "q", 0, task("a", noETA))
	repair := halfOpen(t, proxy, stream.Downstream) // requests arrive, answers do not
	if _, err := w.Consumer.(broker.Starter).TakeStarted(t.Context(), 1, 1); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatalf("take: %v", err)
	}
	repair()
	brokertest.Await[broker.Connected](w)
	if got := brokertest.IDs(w.MustTake(5)); !slices.Equal(got, []string{"a"}) {
		t.Fatalf("taken %q", got)
	}
	if lost := brokertest.Got[broker.Orphaned](w); len(lost) != 0 {
		t.Fatalf("recorded as begun: %+v", lost)
	}
}

func TestASettlementWhoseAnswerWasLostCountsAsDoneWhenRepeated(t *testing.T) {
	s, proxy := throughProxy(t, spawn(t))
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	s.Publish(t, "q", 0, brokertest.Payload("a", 0))
	batch := brokertest.All(w.MustTake(1), broker.Requeue)
	w.MustSettle(broker.Settlement{Tag: batch[0].Tag, Verb: broker.Begin}) // the server knows the script from here on
	repair := halfOpen(t, proxy, stream.Downstream)
	if _, err := w.Settle(t.Context(), batch); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatalf("settle: %v", err)
	}
	repair()
	brokertest.Await[broker.Connected](w)
	if gone := w.MustSettle(batch...); len(gone) != 0 {
		t.Fatalf("gone: %q", gone)
	}
	if got := s.Waiting(t, "q"); len(got) != 1 {
		t.Fatalf("%d wait: requeued twice or never", len(got))
	}
	if gone := brokertest.Got[broker.Gone](w); len(gone) != 0 {
		t.Fatalf("reported as gone: %v", gone)
	}
}

func TestAWorkerThatWasCutOffFindsItsDeliveriesGoneAndSettlesNothing(t *testing.T) {
	p := spawn(t)
	s, proxy := throughProxy(t, p)
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	s.Publish(t, "q", 0, brokertest.Payload("a", 0))
	held := w.MustTake(1)
	peer := brokertest.Start(t, p.server().consumer(t, "peer", "q"))
	repair := halfOpen(t, proxy, stream.Upstream)
	brokertest.Await[broker.PeerRestored](peer)
	repair()
	told := brokertest.Await[broker.Gone](w) // before Connected: nobody settles anything first
	brokertest.Await[broker.Connected](w)
	if len(told.Tags) != 1 || told.Tags[0] != held[0].Tag {
		t.Fatalf("gone: %v", told)
	}
	if gone := w.MustSettle(brokertest.All(held, broker.Ack)...); len(gone) != 1 {
		t.Fatal("what the peer restored was settled")
	}
	if got := s.Waiting(t, "q"); len(got) != 1 {
		t.Fatalf("%d wait", len(got))
	}
}
