package redisbroker

import (
	"sync"

	"crisper/broker"
)

// mailbox hands events to the reader without ever making the sender wait. It
// holds one Ready at most; the others are few.
type mailbox struct {
	out chan broker.Event

	mu    sync.Mutex // guards what follows
	queue []broker.Event
	ended bool
	wake  chan struct{} // capacity 1: a token says that there is something new
}

func newMailbox() *mailbox {
	// Unbuffered towards the reader: what is not read yet can still be coalesced.
	return &mailbox{out: make(chan broker.Event), wake: make(chan struct{}, 1)}
}

func (m *mailbox) send(ev broker.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return
	}
	if _, ready := ev.(broker.Ready); ready {
		for _, waiting := range m.queue {
			if _, same := waiting.(broker.Ready); same {
				return
			}
		}
	}
	m.queue = append(m.queue, ev)
	m.signal()
}

func (m *mailbox) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	m.signal()
}

func (m *mailbox) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run delivers until the mailbox has ended and is empty, then closes it.
func (m *mailbox) run() {
	defer close(m.out)
	for {
		m.mu.Lock()
		var next broker.Event
		if len(m.queue) > 0 {
			next = m.queue[0]
			m.queue = m.queue[1:]
		}
		ended := m.ended
		m.mu.Unlock()
		switch {
		case next != nil:
			m.out <- next
		case ended:
			return
		default:
			<-m.wake
		}
	}
}
