//go:build integration

package redisbroker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"crisper/broker"
	"crisper/broker/brokertest"
)

func TestWhatAStockWorkerLeftBehindIsRestoredAfterTheVisibilityTimeout(t *testing.T) {
	s := spawn(t).server()
	ctx := t.Context()
	old := float64(time.Now().Add(-2*time.Hour).UnixMicro()) / 1e6
	put := func(tag, exchange, key string, age float64) {
		value := fmt.Sprintf(`[%s, %q, %q]`, brokertest.Payload(tag, 0), exchange, key)
		s.client.HSet(ctx, "unacked", tag, value)
		s.client.ZAdd(ctx, "unacked_index", redis.Z{Score: old + age, Member: tag})
	}
	s.client.SAdd(ctx, "_kombu.binding.ex", "key\x06\x16\x06\x16q")
	put("a", "", "q", 0)
	put("b", "ex", "key", 1)
	put("young", "", "q", 7200)
	put("unbound", "nowhere", "key", 2)
	s.client.ZAdd(ctx, "unacked_index", redis.Z{Score: old, Member: "acked long ago"})
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	ds := w.MustTake(1)
	if len(ds) == 0 { // we were quicker than the sweep
		brokertest.Await[broker.Ready](w)
	}
	// A restore of a page is one script: what woke us was all of it.
	ds = append(ds, w.MustTake(10)...)
	if got := fmt.Sprint(brokertest.IDs(ds)); got != "[a b]" || !ds[0].Redelivered {
		t.Fatalf("taken %s", got)
	}
	if n := s.client.HLen(ctx, "unacked").Val(); n != 4 { // young, unbound, and the two just taken
		t.Errorf("%d unacked", n)
	}
}

func TestAHeldMutexKeepsTheSweepAway(t *testing.T) {
	s := spawn(t).server()
	ctx := t.Context()
	s.client.Set(ctx, "unacked_mutex", "somebody", time.Minute)
	s.client.HSet(ctx, "unacked", "a", fmt.Sprintf(`[%s, "", "q"]`, brokertest.Payload("a", 0)))
	s.client.ZAdd(ctx, "unacked_index", redis.Z{Score: 1, Member: "a"})
	brokertest.Start(t, s.consumer(t, "w", "q"))
	time.Sleep(300 * time.Millisecond) // that nothing is restored can only be seen by waiting
	if n := len(s.Waiting(t, "q")); n != 0 {
		t.Fatalf("%d restored", n)
	}
}

func TestWhatIsInHandIsRenewedSoThatNoStockSweepRestoresIt(t *testing.T) {
	s := spawn(t).server()
	s.change = func(c *Config) { c.TransportOptions = raw(t, `{"visibility_timeout": 2}`) }
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	s.Publish(t, "q", 0, brokertest.Payload("a", 0))
	held := w.MustTake(1)
	taken := s.client.ZScore(t.Context(), "unacked_index", "a").Val()
	deadline := time.Now().Add(20 * time.Second)
	for s.client.ZScore(t.Context(), "unacked_index", "a").Val() < taken+2 {
		if time.Now().After(deadline) {
			t.Fatal("not renewed")
		}
		time.Sleep(50 * time.Millisecond) // the score can only be looked at
	}
	if gone := w.MustSettle(brokertest.All(held, broker.Ack)...); len(gone) != 0 {
		t.Fatalf("gone: %q", gone)
	}
}

// kombu runs testdata/stock.py under a real kombu.
func kombu(t *testing.T, p *process, args ...string) string {
	t.Helper()
	python := os.Getenv("CRISPER_TEST_PYTHON")
	if python == "" {
		t.Skip("CRISPER_TEST_PYTHON names no interpreter with Celery: not compared with the real kombu")
	}
	cmd := exec.CommandContext(t.Context(), python, append([]string{filepath.Join("testdata", "stock.py"), p.url()}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestWeConsumeWhatCeleryPublishesInItsOrder(t *testing.T) {
	p := spawn(t)
	s := p.server()
	kombu(t, p, "publish", "5")
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	ds := w.MustTake(10)
	if got := fmt.Sprint(brokertest.IDs(ds)); got != "[0 2 4 1 3]" { // odd ones have priority 9
		t.Fatalf("taken %s", got)
	}
	for _, d := range ds {
		if d.Message.Problem != "" || d.Message.Task != "proj.add" || d.Message.ArgsRepr == "" {
			t.Errorf("%+v", d.Message)
		}
	}
	if gone := w.MustSettle(brokertest.All(ds, broker.Ack)...); len(gone) != 0 {
		t.Fatalf("gone: %q", gone)
	}
}

func TestStockKombuRestoresWhatWeHoldAndWeSettleNothing(t *testing.T) {
	p := spawn(t)
	s := p.server()
	kombu(t, p, "publish", "4")
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	ds := w.MustTake(4)
	w.MustSettle(broker.Settlement{Tag: ds[0].Tag, Verb: broker.Accept})
	kombu(t, p, "sweep") // restores everything in the index, however young
	if got := len(s.Waiting(t, "q")); got != 3 {
		t.Fatalf("%d wait; want 3, for the accepted one may not run again", got)
	}
	if gone := w.MustSettle(brokertest.All(ds, broker.Ack)...); len(gone) != 3 {
		t.Fatalf("gone: %q", gone)
	}
	if got := fmt.Sprint(brokertest.IDs(w.MustTake(9))); got != "[2 1 3]" {
		t.Fatalf("taken again %s", got)
	}
}

func TestStockKombuConsumesWhatWeGaveBack(t *testing.T) {
	p := spawn(t)
	s := p.server()
	kombu(t, p, "publish", "4")
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	ds := w.MustTake(4)
	w.MustSettle(brokertest.All(ds, broker.Restore)...)
	if got := kombu(t, p, "consume", "4"); got != "id-0 True\nid-2 True\nid-1 True\nid-3 True\n" {
		t.Fatalf("kombu got\n%s", got)
	}
	for _, key := range []string{"unacked", "unacked_index"} {
		if n := s.client.Exists(t.Context(), key).Val(); n != 0 {
			t.Errorf("%s is left", key)
		}
	}
}
