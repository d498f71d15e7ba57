package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"crisper/broker"
)

// scoreSlack is more than rounding does to a score, and less than anything else.
const scoreSlack = 1e-4

// expired is a worker whose presence has run out.
type expired struct {
	id     string
	expiry float64 // ms, server time
}

// keep looks after a session until it fails or ctx ends: shows our presence,
// renews what is in hand, and sweeps. It returns when all of that has stopped.
func (c *Consumer) keep(ctx context.Context, s *session) error {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer working.Wait()
	// A request on a connection that is half-open does not end with its context:
	// only closing the connection ends it before its deadline.
	defer s.close()
	defer cancel()
	dead := make(chan []expired, 1) // the newest list; one that is being worked on is found again
	working.Go(func() { c.beat(ctx, s, dead) })
	working.Go(func() { c.sweep(ctx, s, dead) })
	if s.incoming != nil {
		working.Go(func() { c.hear(ctx, s) })
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// beat is the sign of life. It is the check for half-open connections too.
func (c *Consumer) beat(ctx context.Context, s *session, dead chan<- []expired) {
	connected := time.Now()
	renewed := connected
	var watch watch
	next := time.NewTimer(c.cfg.Presence / 3)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		next.Reset(c.beatPause())
		if c.closed.Load() {
			continue
		}
		others, err := c.look(ctx, s, &watch)
		if err != nil {
			return // judge has ended the session
		}
		if time.Since(renewed) >= c.renewal() {
			if err := c.renew(ctx, s, false); err != nil {
				return
			}
			renewed = time.Now()
		}
		// After an outage every presence has run out: all must have had the time to
		// come back before one is taken for dead.
		if len(others) > 0 && time.Since(connected) > c.cfg.Presence {
			select {
			case dead <- others:
			default:
			}
		}
	}
}

// beatPause is how long it is to the next beat: a worker with empty hands has time.
func (c *Consumer) beatPause() time.Duration {
	if c.resting.Load() {
		return c.cfg.Presence / 2
	}
	return c.cfg.Presence / 3
}

func (c *Consumer) renewal() time.Duration { return min(c.cfg.options.visibility/3, time.Minute) }

// present shows our presence and returns the workers whose presence has run out.
// If our own had, peers may have restored what we hold: every delivery is asked for.
func (c *Consumer) present(ctx context.Context, s *session) ([]expired, error) {
	call, cancel := context.WithTimeout(ctx, c.beatTimeout())
	defer cancel()
	silence := c.silence()
	c.resting.Store(false)
	reply, err := s.eval(call, presenceScript, []string{c.cfg.keys.presence}, c.cfg.WorkerID, c.cfg.Presence.Milliseconds())
	if err != nil {
		return nil, fmt.Errorf("cannot show our presence: %w", err)
	}
	if len(reply) == 0 {
		return nil, errors.New("cannot show our presence: the broker answers nonsense")
	}
	if integer(reply[0]) == 0 && c.hands.len() > 0 {
		if err := c.renew(ctx, s, silence > c.cfg.options.visibility); err != nil {
			return nil, err
		}
	}
	c.alive.Store(int64(time.Since(c.epoch)))
	return listed(reply), nil
}

// listed reads the workers in the answer of the presence script.
func listed(reply []any) (others []expired) {
	for i := 1; i+1 < len(reply); i += 2 {
		id, _ := reply[i].(string)
		others = append(others, expired{id: id, expiry: float(reply[i+1])})
	}
	return others
}

// beatTimeout: with a third of Presence between two beats, a half-open connection
// is noticed within 4.5 s by the defaults, by a worker with empty hands within 5.5 s.
func (c *Consumer) beatTimeout() time.Duration {
	return min(max(c.cfg.Presence/2, 500*time.Millisecond), 2500*time.Millisecond)
}

// silence is how long the broker has not heard of us.
func (c *Consumer) silence() time.Duration {
	last := c.alive.Load()
	if last == 0 {
		return 0
	}
	return time.Since(c.epoch) - time.Duration(last)
}

// doubtful asks for everything in hand first when we were silent for so long
// that a stock worker may have restored a delivery and taken it, under the same tag.
func (c *Consumer) doubtful(ctx context.Context, s *session) error {
	if c.silence() <= c.cfg.options.visibility {
		return nil
	}
	_, err := c.present(ctx, s)
	return err
}

// renew renews all that is in hand, and reports what is not ours any more. With
// strict set, a delivery that somebody else has written since is not ours either.
func (c *Consumer) renew(ctx context.Context, s *session, strict bool) error {
	for _, part := range parts(c.hands.all()) {
		newest := any("")
		args := make([]any, 2, 2+len(part))
		limit := 0.0
		for _, h := range part {
			args = append(args, string(h.tag))
			limit = max(limit, h.score)
		}
		if strict {
			newest = limit + scoreSlack
		}
		args[0], args[1] = c.cfg.WorkerID, newest
		reply, err := s.eval(ctx, renewScript, []string{c.cfg.keys.index, c.cfg.keys.owners}, args...)
		if err != nil {
			return fmt.Errorf("cannot renew deliveries: %w", err)
		}
		c.renewed(part, reply)
	}
	return nil
}

func (c *Consumer) renewed(part []*hold, reply []any) {
	if len(reply) == 0 {
		return
	}
	score := float(reply[0])
	for i, h := range part {
		c.hands.scored(h, score+float64(i)/1e6)
	}
	var missing []*hold
	for _, i := range reply[1:] {
		missing = append(missing, part[integer(i)])
	}
	if gone := c.hands.forget(missing); len(gone) > 0 {
		c.box.send(broker.Gone{Tags: gone})
	}
}
