package brokertest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

// memoryConsumer is a consumer of Memory. Its fields are guarded by the broker's lock.
type memoryConsumer struct {
	m      *Memory
	id     string
	queues []string
	events chan broker.Event
	since  time.Time // connected
	up     bool
	closed bool
	hungry bool // a Take came back short
}

func (c *memoryConsumer) report(ev broker.Event) {
	select {
	case c.events <- ev:
	default:
		panic("brokertest: nobody reads the events of " + c.id)
	}
}

// Run implements broker.Consumer.
func (c *memoryConsumer) Run(ctx context.Context) error {
	defer close(c.events)
	m := c.m
	m.mu.Lock()
	c.since, c.up = time.Now(), true
	m.alive[c.id] = c
	delete(m.dead, c.id)
	c.report(broker.Connected{Server: "memory://"})
	m.mu.Unlock()
	time.AfterFunc(m.presence, m.sweep) // old deaths that nobody was there to see
	<-ctx.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	c.up = false
	delete(m.alive, c.id)
	if !c.closed {
		m.dead[c.id] = time.Now()
		time.AfterFunc(m.presence, m.sweep)
	}
	return nil
}

// Events implements broker.Consumer.
func (c *memoryConsumer) Events() <-chan broker.Event { return c.events }

// Take implements broker.Consumer.
func (c *memoryConsumer) Take(_ context.Context, n int) (ds []broker.Delivery, err error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if !c.up {
		return nil, fmt.Errorf("cannot take deliveries: %w", broker.ErrUnavailable)
	}
	for len(ds) < n {
		d, ok := c.m.take(c)
		if !ok {
			c.hungry = true
			break
		}
		ds = append(ds, d)
	}
	return ds, nil
}

// Settle implements broker.Consumer.
func (c *memoryConsumer) Settle(_ context.Context, batch []broker.Settlement) (gone []broker.Tag, err error) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if !c.up {
		return nil, fmt.Errorf("cannot settle deliveries: %w", broker.ErrUnavailable)
	}
	var restores []broker.Settlement
	for _, s := range batch {
		switch h := m.unacked[s.Tag]; {
		case h == nil || h.owner != c.id:
			gone = append(gone, s.Tag)
		case s.Verb == broker.Restore:
			restores = append(restores, s)
		default:
			c.carryOut(s, h)
		}
	}
	// Newest first: the oldest is the next to be taken.
	slices.SortFunc(restores, func(a, b broker.Settlement) int {
		if m.unacked[a.Tag].seq > m.unacked[b.Tag].seq {
			return -1
		}
		return 1
	})
	for _, s := range restores {
		h := m.unacked[s.Tag]
		delete(m.unacked, s.Tag)
		m.give(h, s.Deaths, true)
	}
	return gone, nil
}

func (c *memoryConsumer) carryOut(s broker.Settlement, h *taken) {
	if s.Verb == broker.Begin || s.Verb == broker.Accept {
		h.begun = s.Verb
		return
	}
	delete(c.m.unacked, s.Tag)
	switch s.Verb {
	case broker.Requeue:
		c.m.give(h, s.Deaths, false)
	case broker.Park:
		letter, _ := json.Marshal(map[string]any{"reason": s.Reason, "queue": h.queue, "deaths": s.Deaths, "payload": string(h.raw)}) // cannot fail
		c.m.letters = slices.Insert(c.m.letters, 0, letter)
	}
}

// Backlog implements broker.Consumer.
func (c *memoryConsumer) Backlog(context.Context) (map[string]broker.Backlog, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if !c.up {
		return nil, fmt.Errorf("cannot measure the backlog: %w", broker.ErrUnavailable)
	}
	backlogs := map[string]broker.Backlog{}
	for _, queue := range c.queues {
		var b broker.Backlog
		for _, s := range steps {
			b.Ready += int64(len(c.m.lists[listOf(queue, s)]))
		}
		for _, h := range c.m.unacked {
			if h.queue != queue {
				continue
			}
			eta, err := celerymsg.ParseTime(celerymsg.ParseEnvelope(h.raw).ETA, time.UTC)
			if err == nil && eta.After(time.Now()) {
				b.Scheduled++
			} else {
				b.Unacked++
			}
		}
		backlogs[queue] = b
	}
	return backlogs, nil
}

// Close implements broker.Consumer.
func (c *memoryConsumer) Close(context.Context) error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.closed = len(c.m.heldBy(c.id)) == 0
	return nil
}
