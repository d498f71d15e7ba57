package leader

import (
	"context"
	"sync"
	"time"
)

// clock is the time that the replicas share. Between two questions to the store it
// runs by our monotonic clock, so that setting ours changes nothing.
type clock struct {
	own func() time.Time
	ask func(ctx context.Context) (time.Time, time.Duration, error) // nil: there is only ours

	mu    sync.Mutex
	known bool
	then  time.Time // the store's, when ours was at; with ours' monotonic reading
	at    time.Time
}

// jitter is how far an answer may be off for its way: the clock is not set by less.
const jitter = 5 * time.Millisecond

// now is the store's time as far as we know it.
func (c *clock) now() time.Time {
	own := c.own()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return own
	}
	return c.then.Add(own.Sub(c.at))
}

// sync asks the store. It stays as it is when there is no answer.
func (c *clock) sync(ctx context.Context) error {
	if c.ask == nil {
		return nil
	}
	before := c.own()
	then, precision, err := c.ask(ctx)
	if err != nil {
		return err
	}
	way := c.own().Sub(before)
	at := before.Add(way / 2)
	c.mu.Lock()
	defer c.mu.Unlock()
	have := at
	if c.known {
		have = c.then.Add(at.Sub(c.at))
	}
	if then.Sub(have).Abs() < jitter+precision+way/2 {
		return nil
	}
	c.known, c.then, c.at = true, then, at
	return nil
}

// skew is by how much our clock is ahead of the store's.
func (c *clock) skew() time.Duration { return c.own().Sub(c.now()) }
