package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"crisper/broker"
)

// Run implements broker.Consumer. It may be called once.
func (c *Consumer) Run(ctx context.Context) error {
	if c.started.Swap(true) {
		return errors.New("cannot run a consumer twice")
	}
	delivered := make(chan struct{})
	go func() { c.box.run(); close(delivered) }()
	defer func() { c.box.end(); <-delivered }()
	defer c.endListening()
	before, failures, node := false, 0, 0
	for ctx.Err() == nil {
		s, err := c.connect(ctx, node)
		if err == nil {
			before, failures = true, 0
			c.session.Store(s)
			c.box.send(broker.Connected{Server: s.server})
			err = c.keep(ctx, s)
			c.session.Store(nil)
		}
		if ctx.Err() != nil {
			return nil
		}
		failures++
		server := c.cfg.nodes[node].server()
		if err := c.verdict(err, failures, before, server); err != nil {
			return err
		}
		node = (node + 1) % len(c.cfg.nodes)
		if !c.pause(ctx, err, failures, before, server) {
			return nil
		}
	}
	return nil
}

// verdict is the error with which Run gives up, or nil.
func (c *Consumer) verdict(err error, failures int, before bool, server string) error {
	switch {
	// Another URL of the list may have the right password.
	case errors.Is(err, broker.ErrRefused) && failures >= len(c.cfg.nodes):
		return fmt.Errorf("cannot use the broker %s: %w", server, err)
	case c.cfg.Retry.GiveUp(failures, before):
		return fmt.Errorf("cannot connect to the broker %s (try %d): %w", server, failures, err)
	}
	return nil
}

// pause tells of the failure and waits for the next try.
func (c *Consumer) pause(ctx context.Context, err error, failures int, before bool, server string) bool {
	wait := c.cfg.Retry.Pause(failures, before)
	limit := c.cfg.Retry.MaxRetries
	if before {
		limit = 0
	}
	c.box.send(broker.Disconnected{Err: err, Server: server, Retry: wait, Attempt: failures, Limit: limit})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// connect makes a session and leaves it ready for use: the server answers, may
// be written to, knows our presence and our queues' bindings.
func (c *Consumer) connect(ctx context.Context, node int) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout+callTimeout)
	defer cancel()
	s, err := c.open(ctx, node)
	if err != nil {
		return nil, classify(err)
	}
	err = c.greet(ctx, s)
	if err == nil {
		err = c.subscribe(ctx, s)
	}
	if err != nil {
		s.close()
		return nil, classify(err)
	}
	return s, nil
}

func (c *Consumer) greet(ctx context.Context, s *session) error {
	if err := s.requests.Ping(ctx).Err(); err != nil {
		return err
	}
	info, err := s.requests.Info(ctx, "server").Result()
	if err == nil {
		if err := checkVersion(info); err != nil {
			return err
		}
	} // an ACL may forbid INFO; what is missing shows itself later
	silence := c.silence() // before it ends
	if _, err := c.present(ctx, s); err != nil {
		return err
	}
	// Not only when our presence had run out: a request of the broken connection may
	// have renewed it just now, after peers had restored everything.
	if err := c.renew(ctx, s, silence > c.cfg.options.visibility); err != nil {
		return err
	}
	if err := c.bind(ctx, s, c.set.Load().declared...); err != nil {
		return err
	}
	return c.reconcile(ctx, s)
}

// bind registers the queues as kombu's _queue_bind does, so that producers that
// publish to their exchanges reach them, and Flower sees them.
func (c *Consumer) bind(ctx context.Context, s *session, queues ...broker.Queue) error {
	_, err := s.requests.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, q := range queues {
			if q.Exchange == "" { // the anonymous exchange reaches every queue
				continue
			}
			member := q.RoutingKey + c.cfg.options.sep + bindingPattern(q) + c.cfg.options.sep + q.Name
			p.SAdd(ctx, c.cfg.keys.bindings(q.Exchange), member)
			if _, expires := q.Arguments["x-expires"]; !expires {
				p.SAdd(ctx, c.cfg.keys.permanentBindings(q.Exchange), member)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot register the queues' bindings: %w", err)
	}
	return nil
}

// Close implements broker.Consumer: peers need not wait for our presence to run out.
func (c *Consumer) Close(ctx context.Context) error {
	c.closed.Store(true)
	s := c.session.Load()
	if s == nil {
		opened, err := c.open(ctx, 0)
		if err != nil {
			return fmt.Errorf("cannot give up the presence: %w", classify(err))
		}
		defer opened.close()
		s = opened
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// What is still in hand keeps its owner: then the presence stays, and peers
	// restore it once that has run out.
	if n := c.hands.len(); n > 0 {
		c.cfg.Log.Warn("leaving with deliveries in hand; peers restore them", zap.Int("deliveries", n))
		return nil
	}
	if err := s.requests.ZRem(ctx, c.cfg.keys.presence, c.cfg.WorkerID).Err(); err != nil {
		return fmt.Errorf("cannot give up the presence: %w", classify(err))
	}
	return nil
}

func isNil(err error) bool { return errors.Is(err, redis.Nil) }
