package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// message is what one message in the broker says of itself.
type message struct{ id, origin string }

// source reads the messages that have arrived since it was read last; anew: all that
// there are.
type source interface {
	read(ctx context.Context, anew bool) ([]message, error)
}

// arrival is a message with the moment at which it was seen.
type arrival struct {
	message
	at time.Time
}

// book is what the broker has been seen to hold.
type book struct {
	mu       sync.Mutex
	seen     map[string]int
	arrivals []arrival // of ids not seen before, in their order
	anew     bool
	reads    int   // that succeeded
	err      error // of the newest
}

// every is the time between two looks: finer than anything that is measured.
const every = 5 * time.Millisecond

// follow reads until the context ends. A broker that does not answer is asked again.
func (b *book) follow(ctx context.Context, from source) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		b.mu.Lock()
		anew := b.anew || b.seen == nil
		b.mu.Unlock()
		found, err := from.read(ctx, anew)
		b.add(found, anew, err)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

func (b *book) add(found []message, anew bool, err error) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err = err; err != nil {
		return
	}
	var old map[string]int
	if anew {
		old = b.seen
		b.seen, b.anew = make(map[string]int, len(found)), false
	}
	for _, m := range found {
		if b.seen[m.id]++; b.seen[m.id] == 1 && old[m.id] == 0 {
			b.arrivals = append(b.arrivals, arrival{m, now})
		}
	}
	b.reads++
}

// again has everything counted anew: the broker was restarted.
func (b *book) again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.anew = true
}

// counts is how often each id was seen, by a look that began after the call.
func (b *book) counts(ctx context.Context) (map[string]int, error) {
	b.mu.Lock()
	wanted := b.reads + 2 // the one that is under way may have begun before
	b.mu.Unlock()
	var seen map[string]int
	err := until(ctx, "the broker to be read", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.reads < wanted || b.anew {
			return false
		}
		seen = make(map[string]int, len(b.seen))
		for id, n := range b.seen {
			seen[id] = n
		}
		return true
	})
	return seen, err
}

// after is the first arrival since a moment that is wanted.
func (b *book) after(at time.Time, wanted func(arrival) bool) (arrival, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := len(b.arrivals)
	for i > 0 && b.arrivals[i-1].at.After(at) {
		i--
	}
	for _, a := range b.arrivals[i:] {
		if wanted(a) {
			return a, true
		}
	}
	return arrival{}, false
}

// newest is what has arrived last.
func (b *book) newest() arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.arrivals) == 0 {
		return arrival{}
	}
	return b.arrivals[len(b.arrivals)-1]
}

// trouble is why nothing arrives.
func (b *book) trouble() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	return errors.New("no messages arrive")
}
