package redisbroker

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"crisper/broker/celerymsg"
)

// restoreVisible is kombu's restore_visible: what has been unacked for longer
// than the visibility timeout goes back. Deliveries of Crisper workers are
// renewed and never that old; it is stock workers that leave such behind.
func (c *Consumer) restoreVisible(ctx context.Context, s *session) error {
	token := c.cfg.WorkerID + ":" + strconv.FormatUint(c.takes.Add(0), 10)
	call, cancel := context.WithTimeout(ctx, callTimeout)
	locked, err := s.requests.SetNX(call, c.cfg.keys.mutex, token, c.cfg.options.mutexExpire).Result()
	cancel()
	if err != nil {
		return s.judge(err)
	}
	if !locked {
		return nil // somebody else is at it
	}
	defer func() {
		// If this fails the mutex ends by its own expiry.
		_, _ = s.evalInt(context.WithoutCancel(ctx), unlockScript, []string{c.cfg.keys.mutex}, token)
	}()
	total, limit := 0, c.cfg.options.restoreLimit
	for {
		size := page
		if limit > 0 {
			size = min(page, limit-total)
		}
		found, restored, err := c.restoreVisiblePage(ctx, s, size)
		total += restored
		// A page in which nothing could be restored would come again for ever.
		if err != nil || found < size || restored == 0 || (limit > 0 && total >= limit) {
			if total > 0 {
				c.cfg.Log.Warn("restored deliveries that were unacked for longer than the visibility timeout", zap.Int("deliveries", total))
			}
			return err
		}
	}
}

func (c *Consumer) restoreVisiblePage(ctx context.Context, s *session, size int) (found, restored int, err error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	now, err := s.requests.Time(call).Result()
	if err != nil {
		return 0, 0, s.judge(err)
	}
	ceiling := float64(now.Add(-c.cfg.options.visibility).UnixMicro()) / 1e6
	old, err := s.requests.ZRevRangeByScoreWithScores(call, c.cfg.keys.index, &redis.ZRangeBy{
		Min: "0", Max: strconv.FormatFloat(ceiling, 'f', 6, 64), Count: int64(size),
	}).Result()
	if err != nil || len(old) == 0 {
		return 0, 0, s.judge(err)
	}
	list := make([]owned, len(old))
	for i, z := range old {
		list[i].tag, _ = z.Member.(string)
	}
	if err := c.load(ctx, s, list); err != nil {
		return 0, 0, err
	}
	keys, args, err := c.visibleCall(ctx, s, list, old)
	if err != nil {
		return 0, 0, err
	}
	n, err := s.evalInt(ctx, visibleScript, keys, args...)
	return len(old), int(n), err
}

func (c *Consumer) visibleCall(ctx context.Context, s *session, list []owned, old []redis.Z) (keys []string, args []any, err error) {
	k := c.cfg.keys
	keys = []string{k.unacked, k.index, k.owners}
	for i, o := range list {
		var queues []string
		if o.there {
			if queues, err = c.lookup(ctx, s, o.record); err != nil {
				return nil, nil, err
			}
			if len(queues) == 0 {
				// Celery: kombu drops it here. It may be wanted when the binding is back.
				c.cfg.Log.Warn("cannot restore a delivery: no queue is bound for it",
					zap.String("exchange", o.record.exchange), zap.String("routing_key", o.record.routingKey))
			}
		}
		args = append(args, o.tag, strconv.FormatFloat(old[i].Score, 'f', -1, 64), len(queues))
		for _, q := range queues {
			keys = append(keys, k.list(q, celerymsg.ParseEnvelope(o.record.payload).Priority))
			args = append(args, len(keys)-3)
		}
		args = append(args, celerymsg.MarkRestored(o.record.payload, 0))
	}
	return keys, args, nil
}

// evalInt is eval for scripts that return a number.
func (s *session) evalInt(ctx context.Context, script *redis.Script, keys []string, args ...any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	n, err := script.Run(ctx, s.requests, keys, args...).Int64()
	if err != nil {
		return 0, fmt.Errorf("cannot run a script: %w", s.judge(err))
	}
	return n, nil
}
