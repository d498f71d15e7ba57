package redisbroker

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"crisper/broker"
)

// Purge implements broker.Purger: it throws away what waits in the consumed
// queues, all priorities, as `celery worker --purge` does (kombu's _purge: LLEN
// and DEL). What somebody has in hand is not touched.
func (c *Consumer) Purge(ctx context.Context) (int64, error) {
	s, err := c.current()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	lists := c.set.Load().lists
	lengths := make([]*redis.IntCmd, len(lists))
	_, err = s.requests.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for i, list := range lists {
			lengths[i] = p.LLen(ctx, list)
			p.Del(ctx, list)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("cannot purge the queues: %w", s.judge(err))
	}
	var gone int64
	for _, n := range lengths {
		gone += n.Val()
	}
	return gone, nil
}

var _ broker.Purger = (*Consumer)(nil)
