package redisbroker

import (
	"context"
	"fmt"
	"time"
)

// watch tells from plain reads whether somebody may have died: whoever has
// something in hand moves its expiry with each of its beats, so that the lowest
// expiry stands still only when its worker does.
type watch struct {
	lowest expired
	since  time.Time
}

// still tells whether the lowest entry has not moved for the given time.
func (w *watch) still(lowest expired, now time.Time, limit time.Duration) bool {
	if lowest != w.lowest {
		w.lowest, w.since = lowest, now
	}
	return lowest.id != "" && now.Sub(w.since) >= limit
}

// look is one beat. A worker with nothing in hand has nothing that a peer could
// restore: it shows no presence, and looks for the dead with one plain read.
func (c *Consumer) look(ctx context.Context, s *session, w *watch) ([]expired, error) {
	if resting, err := c.rest(ctx, s); !resting || err != nil {
		if err != nil {
			return nil, err
		}
		return c.present(ctx, s)
	}
	call, cancel := context.WithTimeout(ctx, c.beatTimeout())
	defer cancel()
	first, err := s.requests.ZRangeWithScores(call, c.cfg.keys.presence, 0, 0).Result()
	if err != nil {
		return nil, fmt.Errorf("cannot look for dead peers: %w", s.judge(err))
	}
	c.alive.Store(int64(time.Since(c.epoch)))
	var lowest expired
	if len(first) > 0 {
		lowest.id, _ = first[0].Member.(string)
		lowest.expiry = first[0].Score
	}
	// Two beats, and what a busy server takes: only then the server's clock is asked.
	if !w.still(lowest, time.Now(), 2*c.cfg.Presence/3) {
		return nil, nil
	}
	reply, err := s.eval(call, presenceScript, []string{c.cfg.keys.presence}, c.cfg.WorkerID, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot look for dead peers: %w", err)
	}
	return listed(reply), nil
}

// rest gives up our presence while there is nothing in hand. The next take shows
// it again, in the same step in which it takes.
func (c *Consumer) rest(ctx context.Context, s *session) (bool, error) {
	if !c.taking.TryLock() {
		return false, nil // a take is under way
	}
	defer c.taking.Unlock()
	if c.hands.len() > 0 {
		return false, nil
	}
	if c.resting.Load() {
		return true, nil
	}
	call, cancel := context.WithTimeout(ctx, c.beatTimeout())
	defer cancel()
	if err := s.requests.ZRem(call, c.cfg.keys.presence, c.cfg.WorkerID).Err(); err != nil {
		return false, fmt.Errorf("cannot give up our presence: %w", s.judge(err))
	}
	c.resting.Store(true)
	return true, nil
}
