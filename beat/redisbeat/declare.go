package redisbeat

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"crisper/beat"
	"crisper/beat/message"
	"crisper/broker"
)

// kombu keeps a binding for twice the lifetime of its queue, and an hour at least
// (kombu/transport/redis.py, BINDING_EXPIRES_FACTOR and MIN_BINDING_TTL).
const (
	bindingFactor = 2
	bindingLeast  = 60 * 60 * 1000
)

// prepare writes the bindings that kombu would before these messages, and reads
// those that tell where they go.
func (p *Publisher) prepare(ctx context.Context, c *redis.Client, page []beat.Publication) (map[string][]string, error) {
	pipe := c.Pipeline()
	once := map[string]bool{}
	var declared []string
	replies := map[string]*redis.StringSliceCmd{}
	for _, b := range page {
		for _, d := range b.Message.Declare {
			id := identity(d)
			if !p.declared[id] && !once[id] {
				once[id] = true
				if p.declare(ctx, pipe, d) {
					declared = append(declared, id)
				}
			}
		}
	}
	for _, b := range page {
		m := b.Message
		if m.Exchange != "" && routed(m.ExchangeType) && replies[m.Exchange] == nil {
			replies[m.Exchange] = pipe.SMembers(ctx, p.access.Bindings(m.Exchange))
		}
	}
	if pipe.Len() == 0 {
		return nil, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("cannot read the bindings: %w", err)
	}
	for _, id := range declared {
		p.declared[id] = true
	}
	bindings := make(map[string][]string, len(replies))
	for exchange, reply := range replies {
		bindings[exchange] = reply.Val()
	}
	return bindings, nil
}

func identity(d message.Declaration) string {
	return strings.Join([]string{d.Queue, d.Exchange, d.ExchangeType, d.RoutingKey}, "\x00")
}

// declare is kombu's Queue.declare on a virtual channel. It tells whether that
// holds for as long as the connection (Queue.can_cache_declaration).
func (p *Publisher) declare(ctx context.Context, pipe redis.Pipeliner, d message.Declaration) bool {
	lifetime := expires(d.Arguments)
	if d.Queue != "" && lifetime > 0 {
		p.expires[d.Queue] = strconv.FormatInt(lifetime, 10)
	} else {
		delete(p.expires, d.Queue)
	}
	if d.Queue != "" && d.Exchange != "" {
		binding := p.access.Binding(broker.Queue{Name: d.Queue, ExchangeType: d.ExchangeType, RoutingKey: d.RoutingKey})
		if lifetime > 0 {
			bindScript.Eval(ctx, pipe, []string{p.access.Bindings(d.Exchange), p.access.BindingDeadlines()},
				binding, d.Exchange, max(bindingFactor*lifetime, bindingLeast))
		} else {
			pipe.SAdd(ctx, p.access.Bindings(d.Exchange), binding)
			pipe.SAdd(ctx, p.access.PermanentBindings(d.Exchange), binding)
		}
	}
	return !d.AutoDelete && lifetime == 0
}

// expires is x-expires in ms; kombu ignores what is no number.
func expires(arguments map[string]json.RawMessage) int64 {
	var ms float64
	if json.Unmarshal(arguments["x-expires"], &ms) != nil {
		return 0
	}
	return int64(ms)
}
