package redisbroker

import (
	"context"
	"fmt"
	"slices"

	"crisper/broker"
)

// consumed is what is taken from at a moment. It is replaced as a whole, under
// taking, and never changed.
type consumed struct {
	declared []broker.Queue
	queues   []string
	lists    []string // the keys that are waited on
	waiters  []*waiter
}

var _ broker.Selector = (*Consumer)(nil)

// setConsumed makes the set of these queues; waiters of lists that stay are kept.
func (c *Consumer) setConsumed(declared []broker.Queue) {
	next := &consumed{declared: declared}
	for _, q := range declared {
		next.queues = append(next.queues, q.Name)
	}
	next.lists = c.cfg.keys.lists(next.queues)
	for _, list := range next.lists {
		next.waiters = append(next.waiters, c.waiterOf(list))
	}
	c.set.Store(next)
}

func (c *Consumer) waiterOf(list string) *waiter {
	if old := c.set.Load(); old != nil {
		for _, w := range old.waiters {
			if w.list == list {
				return w
			}
		}
	}
	return &waiter{c: c, list: list}
}

// Consume implements broker.Selector.
func (c *Consumer) Consume(ctx context.Context, q broker.Queue) error {
	if q.ExchangeType == "fanout" {
		return fmt.Errorf("cannot consume from %q: on Redis a fanout exchange is not a queue at all", q.Name)
	}
	c.taking.Lock()
	defer c.taking.Unlock()
	now := c.set.Load()
	if slices.Contains(now.queues, q.Name) {
		return nil
	}
	s, err := c.current()
	if err != nil {
		return err
	}
	if err := c.bind(ctx, s, q); err != nil {
		return s.judge(err)
	}
	c.setConsumed(append(slices.Clone(now.declared), q))
	c.cycle = newCycle(c.cfg.options.order, append(slices.Clone(c.cycle.items), q.Name))
	return nil
}

// Cancel implements broker.Selector. Its binding stays, as kombu's does: other
// workers may consume the queue.
func (c *Consumer) Cancel(_ context.Context, queue string) error {
	c.taking.Lock()
	defer c.taking.Unlock()
	is := func(name string) bool { return name == queue }
	c.setConsumed(slices.DeleteFunc(slices.Clone(c.set.Load().declared), func(q broker.Queue) bool { return is(q.Name) }))
	c.cycle = newCycle(c.cfg.options.order, slices.DeleteFunc(slices.Clone(c.cycle.items), is))
	return nil
}
