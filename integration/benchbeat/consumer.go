package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"crisper/integration/harness"
)

const queue = "ticks"

// consumer takes the messages out of Redis as they come, and stamps them.
type consumer struct {
	mu      sync.Mutex
	came    map[int]time.Time
	doubled int
	err     error
	beacon  chan time.Time // the first one; there is room for it
}

// consume runs until the context ends.
func (c *consumer) consume(ctx context.Context, r *harness.Redis) {
	for ctx.Err() == nil {
		got, err := r.Client.BRPop(ctx, time.Second, queue).Result()
		now := time.Now()
		if err == nil {
			err = c.note(got[1], now)
		} else {
			err = nil // nothing came, or the end
		}
		if err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			return
		}
	}
}

func (c *consumer) note(text string, now time.Time) error {
	var m struct {
		Headers struct {
			Args string `json:"argsrepr"`
		} `json:"headers"`
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return fmt.Errorf("cannot read a message: %w", err)
	}
	n, err := strconv.Atoi(strings.Trim(m.Headers.Args, "[(,)]"))
	if err != nil {
		return fmt.Errorf("cannot read the arguments of a message: %w", err)
	}
	if n < 0 {
		select {
		case c.beacon <- now:
		default: // not the first
		}
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, twice := c.came[n]; twice {
		c.doubled++
		return nil
	}
	c.came[n] = now
	return nil
}

// result is what came, once the consumer has ended.
func (c *consumer) result() (came map[int]time.Time, doubled int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.came, c.doubled, c.err
}

// follow starts a consumer; the function returned ends it.
func follow(ctx context.Context, r *harness.Redis) (*consumer, func()) {
	ctx, stop := context.WithCancel(ctx)
	c := &consumer{came: map[int]time.Time{}, beacon: make(chan time.Time, 1)}
	over := make(chan struct{})
	go func() { defer close(over); c.consume(ctx, r) }()
	return c, func() { stop(); <-over }
}
