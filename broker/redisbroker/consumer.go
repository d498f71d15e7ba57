package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

// Consumer implements broker.Consumer.
type Consumer struct {
	cfg settings
	set atomic.Pointer[consumed] // written under taking

	session atomic.Pointer[session] // nil while not connected
	box     *mailbox
	hands   *hands
	started atomic.Bool
	closed  atomic.Bool

	// taking keeps takes apart, and owns the cycle.
	taking sync.Mutex
	// resting: nothing in hand and no presence shown.
	resting atomic.Bool
	cycle   cycle
	// takes counts calls of Take: a Ready that nobody answered is repeated once.
	takes atomic.Uint64
	// lostTakes counts down the looks for deliveries of takes without an answer.
	lostTakes atomic.Int32
	// alive is when the broker last heard of us, in nanoseconds since epoch.
	alive atomic.Int64
	epoch time.Time

	seen   tails
	fanout fanout
}

var _ broker.Consumer = (*Consumer)(nil)

// New checks the settings and connects to nothing; Run does.
func New(cfg Config) (*Consumer, error) {
	s, err := cfg.understand()
	if err != nil {
		return nil, err
	}
	c := &Consumer{
		cfg: s, box: newMailbox(), hands: newHands(),
		cycle: newCycle(s.options.order, s.queues), epoch: time.Now(), seen: tails{first: map[string]tail{}},
	}
	c.setConsumed(s.Queues)
	return c, nil
}

// Events implements broker.Consumer.
func (c *Consumer) Events() <-chan broker.Event { return c.box.out }

// current is the session, or ErrUnavailable.
func (c *Consumer) current() (*session, error) {
	if s := c.session.Load(); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%w: not connected", broker.ErrUnavailable)
}

// judge ends the session after a failure that leaves it in doubt.
func (s *session) judge(err error) error {
	err = classify(err)
	if errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrRefused) {
		s.fail(err)
	}
	return err
}

// eval runs a script once, loading it first where the server does not know it.
func (s *session) eval(ctx context.Context, script *redis.Script, keys []string, args ...any) ([]any, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reply, err := script.Run(ctx, s.requests, keys, args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		// A caller that gave up leaves a request behind whose fate is unknown.
		if errors.Is(err, context.Canceled) {
			err = fmt.Errorf("%w: %v", broker.ErrUnavailable, err)
		}
		return nil, s.judge(err)
	}
	list, _ := reply.([]any)
	return list, nil
}

// Take implements broker.Consumer.
func (c *Consumer) Take(ctx context.Context, n int) ([]broker.Delivery, error) {
	return c.TakeStarted(ctx, n, 0)
}

// TakeStarted implements broker.Starter.
func (c *Consumer) TakeStarted(ctx context.Context, n, start int, short ...string) ([]broker.Delivery, error) {
	c.takes.Add(1)
	s, err := c.current()
	if err != nil {
		return nil, err
	}
	c.taking.Lock()
	defer c.taking.Unlock()
	if n <= 0 || len(c.cycle.items) == 0 {
		return nil, nil
	}
	n = min(n, page)
	keys, args := c.takeCall(n, start, short)
	reply, err := s.eval(ctx, takeScript, keys, args...)
	if err != nil {
		if errors.Is(err, broker.ErrUnavailable) {
			c.lostTakes.Store(3)
		}
		return nil, fmt.Errorf("cannot take deliveries: %w", err)
	}
	deliveries := c.received(reply)
	if len(deliveries) > 0 {
		c.resting.Store(false)
	}
	if len(deliveries) < n {
		c.arm(s)
	}
	return deliveries, nil
}

func (c *Consumer) takeCall(n, start int, short []string) (keys []string, args []any) {
	k := c.cfg.keys
	keys = append(make([]string, 0, 4+len(c.cycle.items)*len(k.steps)), k.unacked, k.index, k.owners, k.presence)
	keys = append(keys, k.lists(c.cycle.items)...)
	rotate := "0"
	if c.cycle.rotate {
		rotate = "1"
	}
	args = append(make([]any, 0, 6+len(c.cycle.items)+len(short)), c.cfg.WorkerID, n, len(c.cycle.items), rotate, c.cfg.Presence.Milliseconds(), start)
	for _, queue := range c.cycle.items {
		args = append(args, unackedTail(queue))
	}
	for _, name := range short {
		args = append(args, `"task": "`+name+`"`) // as Celery's producers write it
	}
	return keys, args
}

// received turns the script's reply into deliveries and moves the cycle on.
func (c *Consumer) received(reply []any) []broker.Delivery {
	if len(reply) < 4 {
		return nil
	}
	score := float(reply[0])
	count := (len(reply) - 1) / 3
	order := append([]string(nil), c.cycle.items...) // as the script saw it
	deliveries := make([]broker.Delivery, 0, count)
	holds := make([]*hold, 0, count)
	for i := range count {
		list := int(integer(reply[1+3*i]))
		started := list < 0
		if started {
			list = -1 - list
		}
		tag, _ := reply[2+3*i].(string)
		payload, _ := reply[3+3*i].(string)
		queue := order[list%len(order)]
		h := &hold{
			tag: broker.Tag(tag), raw: []byte(payload), queue: queue,
			list: c.cfg.keys.listOf(queue, c.cfg.keys.steps[list/len(order)]), score: score + float64(i)/1e6,
		}
		d := delivery(h.tag, queue, h.raw)
		h.eta, d.Started = etaOf(&d.Message), started
		deliveries = append(deliveries, d)
		holds = append(holds, h)
		c.cycle.served(queue)
	}
	c.hands.add(holds)
	return deliveries
}

func delivery(tag broker.Tag, queue string, raw []byte) broker.Delivery {
	m := celerymsg.ParseEnvelope(raw)
	return broker.Delivery{Tag: tag, Queue: queue, Redelivered: m.Redelivered, Deaths: m.Deaths, Message: m}
}

func etaOf(m *celerymsg.Message) time.Time {
	if m.ETA == "" {
		return time.Time{}
	}
	eta, err := celerymsg.ParseTime(m.ETA, time.UTC)
	if err != nil {
		return time.Time{}
	}
	return eta
}

// Numbers come back as integers or, where they had a fraction, as text.
func float(v any) float64 {
	switch v := v.(type) {
	case string:
		f, _ := strconv.ParseFloat(v, 64)
		return f
	case int64:
		return float64(v)
	}
	return 0
}

func integer(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	}
	return 0
}
