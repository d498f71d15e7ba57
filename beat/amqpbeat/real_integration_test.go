//go:build integration

package amqpbeat

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"crisper/beat"
	"crisper/beat/beattest"
	"crisper/broker/amqpbroker"
	"crisper/broker/amqpbroker/servertest"
)

const confirmTimeout = 2 * time.Second

// rabbit is a real broker behind a proxy, with a store of some kind.
type rabbit struct {
	*servertest.Proxy
	addr  string
	store func() Store
}

func (w *rabbit) Connect(t testing.TB) beat.Publisher {
	return New(w.sender(t, w.Addr()), Config{Store: w.store()})
}

func (w *rabbit) sender(t testing.TB, addr string) *amqpbroker.Publisher {
	cfg := amqpbroker.Defaults()
	cfg.URLs, cfg.ConfirmTimeout = []string{"amqp://" + addr}, confirmTimeout
	p, err := amqpbroker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// Sent takes the messages out of the queue and puts them back.
func (w *rabbit) Sent(t testing.TB, queue string) (ids []string) {
	conn, err := amqp.Dial("amqp://" + w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, ok, err := ch.Get(queue, false) // unacknowledged: back when the connection closes
		if err != nil || !ok {
			return ids // a queue that is not there is empty
		}
		ids = append(ids, m.CorrelationId)
	}
}

// fresh empties the queues that the suite uses.
func fresh(t testing.TB, addr string) {
	conn, err := amqp.Dial("amqp://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{"q", "r"} {
		if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
			t.Fatal(err)
		}
	}
}

func files(t testing.TB) func() Store {
	path := filepath.Join(t.TempDir(), "records")
	return func() Store { return &FileStore{Path: path, Pace: time.Nanosecond} }
}

func configMaps(t testing.TB) func() Store {
	k := newFakeKube(t)
	return func() Store { return k.store(t) }
}

func TestConformanceOnRabbitMQ(t *testing.T) {
	s := servertest.RabbitMQ(t)
	for name, store := range map[string]func(testing.TB) func() Store{"file": files, "ConfigMap": configMaps} {
		t.Run(name, func(t *testing.T) {
			beattest.Exercise(t, beattest.Harness{
				Doubles: doubles, Races: races, CallTimeout: confirmTimeout,
				New: func(t *testing.T) beattest.World {
					fresh(t, s.Addr())
					return &rabbit{Proxy: servertest.NewProxy(t, s.Addr()), addr: s.Addr(), store: store(t)}
				},
			})
		})
	}
}

// Doubles are counted: only ticks whose confirm was lost may have two messages.
func TestNothingIsMissedWhenRabbitMQIsKilledAndRestarted(t *testing.T) {
	s := servertest.RabbitMQ(t)
	w := &rabbit{addr: s.Addr(), store: files(t)}
	p := New(w.sender(t, s.Addr()), Config{Store: w.store()})
	defer p.Close()
	if _, err := p.Register(t.Context(), 1, map[string]beat.Record{"e": {Last: beattest.Start}}); err != nil {
		t.Fatal(err)
	}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for range 2 {
			time.Sleep(300 * time.Millisecond) // at any moment of the publishing
			s.Kill()
			s.Start()
		}
	}()
	var want []string
	doubt, n := map[string]bool{}, 0
	for over := false; !over; {
		select {
		case <-killed:
			over = true
		default:
		}
		batch := beattest.Ticks("q", "e", n+1, n+3)
		n += 3
		for failed := false; ; failed = true {
			_, err := p.Publish(t.Context(), 1, batch)
			for _, b := range batch {
				doubt[b.Message.TaskID] = doubt[b.Message.TaskID] || failed || err != nil
			}
			if err == nil {
				break
			}
			time.Sleep(20 * time.Millisecond) // the owner's back-off
		}
		for _, b := range batch {
			want = append(want, b.Message.TaskID)
		}
	}
	copies := map[string]int{}
	var firsts []string
	for _, id := range w.Sent(t, "q") {
		if copies[id]++; copies[id] == 1 {
			firsts = append(firsts, id)
		} else if !doubt[id] {
			t.Errorf("%s was doubled though it was confirmed", id)
		}
	}
	if diff := cmp.Diff(want, firsts); diff != "" {
		t.Error(diff)
	}
	t.Logf("%d ticks, %d doubled", n, len(copies)-len(firsts))
}

// BenchmarkPublish tells ticks per second with a schedule of 10 000 entries.
func BenchmarkPublish(b *testing.B) {
	s := servertest.RabbitMQ(b)
	for name, create := range map[string]func(testing.TB) func() Store{"file": files, "ConfigMap": configMaps} {
		for _, size := range []int{1, 16, 158} {
			b.Run(fmt.Sprintf("%s/batch=%d", name, size), func(b *testing.B) {
				w := &rabbit{addr: s.Addr()}
				store := &faultyStore{Store: create(b)()}
				p := New(w.sender(b, s.Addr()), Config{Store: store})
				records := map[string]beat.Record{}
				name := func(i int) string { return fmt.Sprintf("send reminders to customer %06d", i%10000) }
				for i := range 10000 {
					records[name(i)] = beat.Record{Last: beattest.Start}
				}
				if _, err := p.Register(b.Context(), 1, records); err != nil {
					b.Fatal(err)
				}
				store.swaps, store.bytes = 0, 0
				n := 0
				for b.Loop() {
					batch := make([]beat.Publication, size)
					for i := range batch {
						batch[i] = beattest.Tick("bench", name(n), 1+n/10000)
						n++
					}
					if _, err := p.Publish(b.Context(), 1, batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "ticks/s")
				b.ReportMetric(float64(store.bytes)/float64(max(1, store.swaps)), "B/swap")
			})
		}
	}
}
