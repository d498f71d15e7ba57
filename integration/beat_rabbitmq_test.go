//go:build integration

package integration

import (
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"crisper/beat"
	"crisper/broker/amqpbroker/servertest"
	"crisper/integration/harness"
)

// With RabbitMQ no tick is missed. A tick whose confirm is lost with its leader or
// with the broker is sent once more, with the same task id: those are counted.
func TestBeatOnRabbitMQMissesNoTickAndDoublesOnlyWhatWasInDoubt(t *testing.T) {
	t.Parallel()
	server := servertest.RabbitMQ(t)
	bed := harness.New(t)
	f := makeFleet(t, bed, beatRedis(t, bed), "--election", "file") // its Redis stays unused
	f.broker = "amqp://guest:guest@" + server.Addr() + "//"
	began := time.Now()
	f.grow(3)
	f.leader(time.Minute)
	box := newPostBox(t, server.Addr())
	box.until(f, 3)
	for range rounds(t) {
		old := f.leader(time.Minute)
		harness.Must(t, old.Kill())
		f.within("kill -9", afterKill, old)
		f.replace(old)
		box.until(f, 2)
		old = f.leader(time.Minute)
		harness.Must(t, old.Signal(15))
		f.within("TERM", afterTerm, old)
		f.replace(old)
		box.until(f, 2)
	}
	box.connection.Close()
	server.Kill()
	server.Start()
	box.connect(t, server.Addr())
	f.leader(time.Minute)
	box.until(f, 5)
	f.stop()
	box.settle()
	box.judge(began, rounds(t)+1)
}

// postBox takes the messages out of the queue and keeps their ids.
type postBox struct {
	t          *testing.T
	addr       string
	connection *amqp.Connection
	channel    *amqp.Channel
	got        map[string]int
	newest     map[string]time.Time // due moment by entry
	first      map[string]time.Time
}

func newPostBox(t *testing.T, addr string) *postBox {
	b := &postBox{t: t, got: map[string]int{}, newest: map[string]time.Time{}, first: map[string]time.Time{}}
	b.connect(t, addr)
	return b
}

func (b *postBox) connect(t *testing.T, addr string) {
	t.Helper()
	b.addr = addr
	harness.Must(t, harness.Until(harness.Deadline(t, 60*time.Second), "RabbitMQ", func() bool {
		c, err := amqp.Dial("amqp://guest:guest@" + addr + "/")
		if err != nil {
			return false
		}
		b.connection = c
		return true
	}))
	t.Cleanup(func() { b.connection.Close() })
	b.channel = harness.Got(b.connection.Channel())(t)
}

// empty takes what there is.
func (b *postBox) empty() {
	b.t.Helper()
	for {
		if b.channel.IsClosed() { // the queue was not there yet
			b.channel = harness.Got(b.connection.Channel())(b.t)
		}
		m, ok, err := b.channel.Get("celery", true)
		if err != nil || !ok {
			return
		}
		b.got[m.CorrelationId]++
	}
}

// until waits for so many more ticks of the first entry, as the leader tells them.
func (b *postBox) until(f *fleet, more int) {
	b.t.Helper()
	seen := 0
	var last time.Time
	harness.Must(b.t, harness.Until(harness.Deadline(b.t, 60*time.Second), "more ticks", func() bool {
		for _, r := range f.replicas {
			for _, sent := range r.state(b.t.Context()).Last {
				if sent.Outcome != "published" {
					continue
				}
				if b.first[sent.Entry].IsZero() || sent.Due.Before(b.first[sent.Entry]) {
					b.first[sent.Entry] = sent.Due
				}
				if sent.Due.After(b.newest[sent.Entry]) {
					b.newest[sent.Entry] = sent.Due
				}
			}
		}
		if b.newest["one"].After(last) {
			last = b.newest["one"]
			seen++
		}
		b.empty()
		return seen > more
	}))
}

func (b *postBox) settle() {
	b.t.Helper()
	for range 3 {
		b.empty()
		time.Sleep(100 * time.Millisecond) // RabbitMQ moves messages into the queue in its own time
	}
}

// judge compares with what was due between the first and the newest tick told.
func (b *postBox) judge(began time.Time, mostDoubled int) {
	b.t.Helper()
	due, missed, doubled := 0, 0, 0
	for _, entry := range secondly {
		for at := b.first[entry]; !at.After(b.newest[entry]); at = at.Add(time.Second) {
			due++
			switch n := b.got[beat.TaskID("fleet", entry, at)]; {
			case n == 0:
				missed++
			case n > 1:
				doubled++
			}
		}
	}
	b.t.Logf("%d ticks due, %d missed, %d doubled in %s", due, missed, doubled, time.Since(began).Round(time.Second))
	if due == 0 || missed > 0 || doubled > mostDoubled*len(secondly) {
		b.t.Errorf("%d ticks due, %d missed, %d doubled", due, missed, doubled)
	}
}
