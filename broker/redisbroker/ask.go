package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

// Ask implements broker.Fanout, as kombu's Mailbox._broadcast does: a reply queue
// of our own, bound while we wait. Redis counts who received the question, so
// that nobody is waited for who is not there.
func (c *Consumer) Ask(ctx context.Context, replyExchange string, make func(broker.Address) broker.Publication) ([]broker.Broadcast, error) {
	s, err := c.current()
	if err != nil {
		return nil, err
	}
	oid := fmt.Sprintf("%s.%d", c.cfg.WorkerID, c.fanout.tags.Add(1))
	queue := oid + "." + replyExchange
	binding, member := c.cfg.keys.bindings(replyExchange), oid+c.cfg.options.sep+c.cfg.options.sep+queue
	if err := s.requests.SAdd(ctx, binding, member).Err(); err != nil {
		return nil, fmt.Errorf("cannot make a queue for replies: %w", s.judge(err))
	}
	defer c.forgetReplies(s, binding, member, c.cfg.keys.list(queue, 0))
	reached, err := c.publish(ctx, s, []broker.Publication{make(broker.Address{Exchange: replyExchange, RoutingKey: oid})})
	if err != nil {
		return nil, err
	}
	var replies []broker.Broadcast
	for int64(len(replies)) < reached {
		text, err := s.waits.BRPop(ctx, time.Second, c.cfg.keys.list(queue, 0)).Result()
		switch {
		case ctx.Err() != nil:
			return replies, nil // those who have not answered by now will not
		case errors.Is(err, redis.Nil):
			continue
		case err != nil:
			return replies, fmt.Errorf("cannot read replies: %w", s.judge(err))
		}
		replies = append(replies, broker.Broadcast{Exchange: replyExchange, Message: celerymsg.ParseEnvelope([]byte(text[1]))})
	}
	return replies, nil
}

// forgetReplies takes the reply queue away, also when the question was given up.
func (c *Consumer) forgetReplies(s *session, binding, member, list string) {
	call, cancel := context.WithTimeout(s.done, callTimeout)
	defer cancel()
	// Should this fail, a binding without a queue is left: kombu ignores it.
	_, _ = s.requests.Pipelined(call, func(p redis.Pipeliner) error {
		p.SRem(call, binding, member)
		p.Del(call, list)
		return nil
	})
}
