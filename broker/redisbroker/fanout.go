package redisbroker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

// fanout is the part of a Consumer that carries events and remote control
// (kombu/transport/redis.py, fanout exchanges over PUBLISH and PSUBSCRIBE).
type fanout struct {
	listeners []listener
	tags      atomic.Uint64 // of the messages we publish
}

// listener is one subscription. out has room for bursts: a thousand questions
// while the reader is busy; more are dropped, as Redis itself would drop them.
type listener struct {
	exchange string
	out      chan broker.Broadcast
}

var _ broker.Fanout = (*Consumer)(nil)

// Listen implements broker.Fanout.
func (c *Consumer) Listen(exchange string) <-chan broker.Broadcast {
	l := listener{exchange: exchange, out: make(chan broker.Broadcast, 1000)}
	c.fanout.listeners = append(c.fanout.listeners, l)
	return l.out
}

// endListening closes the subscribers' channels; nobody writes to them any more.
func (c *Consumer) endListening() {
	for _, l := range c.fanout.listeners {
		close(l.out)
	}
}

// topics are the channels of a fanout exchange in a database (Channel._get_publish_topics).
func (c *Consumer) topics(db int, exchange, routingKey string) []string {
	o := c.cfg.options
	tail := exchange
	if routingKey != "" && o.fanoutPatterns {
		tail += "/" + routingKey
	}
	name := o.prefix + strings.ReplaceAll(o.fanoutPrefix, "{db}", strconv.Itoa(db)) + tail
	if !o.sentinelCompat || !strings.Contains(o.fanoutPrefix, "{db}") {
		return []string{name}
	}
	return []string{name, o.prefix + o.fanoutPrefix + tail}
}

// subscribe opens the session's subscriptions and waits until the server has
// confirmed them: who says "ready" can be asked.
func (c *Consumer) subscribe(ctx context.Context, s *session) error {
	if len(c.fanout.listeners) == 0 {
		return nil
	}
	by := map[string]listener{}
	var names []string
	for _, l := range c.fanout.listeners {
		for _, topic := range c.topics(s.db, l.exchange, "") {
			by[topic] = l
			names = append(names, topic)
		}
	}
	// Not by pattern, though kombu does: these names have no wildcards, and a
	// prefix that has some of its own would match what it should not.
	s.subscriptions = s.waits.Subscribe(ctx, names...)
	for range names {
		if _, err := s.subscriptions.Receive(ctx); err != nil {
			if errors.Is(classify(err), broker.ErrRefused) {
				c.cfg.Log.Warn("the broker allows no subscriptions: no remote control", zap.Error(err))
				return nil
			}
			return fmt.Errorf("cannot listen for remote control: %w", err)
		}
	}
	s.incoming = s.subscriptions.Channel(redis.WithChannelHealthCheckInterval(aliveEvery), redis.WithChannelSize(1))
	s.listeners = by
	return nil
}

// aliveEvery is how often a silent subscription is checked (kombu: 25 s).
const aliveEvery = 15 * time.Second

// hear hands on what is broadcast until the session ends.
func (c *Consumer) hear(ctx context.Context, s *session) {
	seen := newRecently(100)
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-s.incoming:
			if !ok {
				return
			}
			l := s.listeners[m.Channel]
			b := broker.Broadcast{Exchange: l.exchange, Message: celerymsg.ParseEnvelope([]byte(m.Payload))}
			if c.cfg.options.sentinelCompat && seen.before(deliveryTag(b.Message.Properties)) {
				continue
			}
			select {
			case l.out <- b:
			default:
				c.cfg.Log.Warn("too many broadcasts at once; one is dropped", zap.String("exchange", l.exchange))
			}
		}
	}
}

func deliveryTag(properties []byte) string {
	var p struct {
		Tag string `json:"delivery_tag"`
	}
	_ = json.Unmarshal(properties, &p) // without a tag it is not a repetition
	return p.Tag
}

// recently remembers the last n names.
type recently struct {
	names []string
	next  int
}

func newRecently(n int) *recently { return &recently{names: make([]string, n)} }

func (r *recently) before(name string) bool {
	if name == "" {
		return false
	}
	for _, old := range r.names {
		if old == name {
			return true
		}
	}
	r.names[r.next] = name
	r.next = (r.next + 1) % len(r.names)
	return false
}

// Publish implements broker.Fanout.
func (c *Consumer) Publish(ctx context.Context, batch []broker.Publication) (unheard bool, err error) {
	s, err := c.current()
	if err != nil {
		return false, err
	}
	reached, err := c.publish(ctx, s, batch)
	forAll := func(p broker.Publication) bool { return !p.Direct }
	return err == nil && reached == 0 && slices.ContainsFunc(batch, forAll), err
}

// publish returns how many subscribers the last fanout message reached.
func (c *Consumer) publish(ctx context.Context, s *session, batch []broker.Publication) (reached int64, err error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pipe := s.requests.Pipeline()
	var counts []*redis.IntCmd
	for _, p := range batch {
		text := c.envelope(p)
		if !p.Direct {
			for _, topic := range c.topics(s.db, p.Exchange, p.RoutingKey) {
				counts = append(counts, pipe.Publish(call, topic, text))
			}
			continue
		}
		queues, err := c.lookup(call, s, record{exchange: p.Exchange, routingKey: p.RoutingKey})
		if err != nil {
			return 0, fmt.Errorf("cannot find who waits for a reply: %w", err)
		}
		for _, q := range queues {
			pipe.LPush(call, c.cfg.keys.list(q, 0), text)
		}
	}
	if pipe.Len() == 0 {
		return 0, nil // whoever asked has left
	}
	if _, err := pipe.Exec(call); err != nil {
		return 0, fmt.Errorf("cannot publish: %w", s.judgePublish(err))
	}
	if len(counts) > 0 {
		reached = counts[len(counts)-1].Val()
	}
	return reached, nil
}

// judgePublish: a user who may not publish can still work.
func (s *session) judgePublish(err error) error {
	if err := classify(err); errors.Is(err, broker.ErrRefused) {
		return err
	}
	return s.judge(err)
}

// envelope is what kombu puts on the wire.
func (c *Consumer) envelope(p broker.Publication) []byte {
	contentType, encoding, headers := p.ContentType, p.ContentEncoding, p.Headers
	if contentType == "" {
		contentType, encoding = "application/json", "utf-8"
	}
	if headers == nil {
		headers = []byte("{}")
	}
	size := base64.StdEncoding.EncodedLen(len(p.Body))
	b := make([]byte, 0, size+len(headers)+400)
	b = append(b, `{"body": "`...)
	b = base64.StdEncoding.AppendEncode(b, p.Body)
	b = append(b, `", "content-encoding": `...)
	b = appendQuoted(b, encoding)
	b = append(b, `, "content-type": `...)
	b = appendQuoted(b, contentType)
	b = append(append(b, `, "headers": `...), headers...)
	b = append(b, `, "properties": {"delivery_mode": 1, "delivery_info": {"exchange": `...)
	b = appendQuoted(b, p.Exchange)
	b = append(b, `, "routing_key": `...)
	b = appendQuoted(b, p.RoutingKey)
	b = append(b, `}, "priority": 0, "body_encoding": "base64", "delivery_tag": `...)
	b = appendQuoted(b, fmt.Sprintf("%s.%d", c.cfg.WorkerID, c.fanout.tags.Add(1)))
	return append(b, '}', '}')
}

func appendQuoted(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string always has a JSON form
	return append(b, text...)
}
