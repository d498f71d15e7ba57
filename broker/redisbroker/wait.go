package redisbroker

import (
	"sync"
	"time"

	"crisper/broker"
)

// waiter waits for a message in one list. BLMOVE from the right end of a list to
// its own right end changes nothing and blocks until there is one, so that
// waiting is neither a poll nor a moment in which a message is in nobody's hands.
//
// It waits only after a Take that came back short. One that is still blocked
// when nobody wants to know any more simply ends with the next message.
type waiter struct {
	c    *Consumer
	list string

	mu      sync.Mutex // guards what follows
	wanted  bool       // report the next message
	blocked *session   // where a BLMOVE is on its way, nil when none is
}

// arm makes every list's waiter report the next message.
func (c *Consumer) arm(s *session) {
	for _, w := range c.set.Load().waiters {
		w.arm(s)
	}
}

func (w *waiter) arm(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted = true
	if w.blocked != s && s.done.Err() == nil {
		w.blocked = s
		go w.run(s) // ends with the session or with a message
	}
}

func (w *waiter) run(s *session) {
	for {
		err := s.waits.BLMove(s.done, w.list, w.list, "RIGHT", "RIGHT", blockTimeout).Err()
		again, ready := w.after(s, err)
		if ready {
			w.c.ready(s)
		}
		if !again {
			return
		}
	}
}

// after decides what follows a BLMOVE that has ended.
func (w *waiter) after(s *session, err error) (again, ready bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stop := func() {
		if w.blocked == s {
			w.blocked = nil
		}
	}
	switch {
	case s.done.Err() != nil:
		stop()
		return false, false
	case err == nil:
		ready, w.wanted = w.wanted, false
		stop()
		return false, ready
	case isNil(err): // nothing came in all this time
		if !w.wanted {
			stop()
		}
		return w.wanted, false
	default:
		stop()
		_ = s.judge(err)
		return false, false
	}
}

// unanswered is how long a Ready may stay without a Take before it is said once
// more: the caller may have read it before the answer of the Take that asked for it.
const unanswered = 100 * time.Millisecond

func (c *Consumer) ready(s *session) {
	for _, w := range c.set.Load().waiters {
		w.mu.Lock()
		w.wanted = false
		w.mu.Unlock()
	}
	takes := c.takes.Load()
	c.box.send(broker.Ready{})
	time.AfterFunc(unanswered, func() {
		if s.done.Err() == nil && c.takes.Load() == takes {
			c.box.send(broker.Ready{})
		}
	})
}
