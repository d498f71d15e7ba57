package brokertest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

// steps are kombu's default priority steps.
var steps = []int{0, 3, 6, 9}

// Memory is a broker in memory: the slow and obvious version of what the real
// ones do, for tests of their users. It opens no sockets and reads the clock
// through package time only, so that it can live in a synctest bubble.
type Memory struct {
	presence time.Duration

	mu      sync.Mutex // guards all below, and the consumers' fields
	lists   map[string][][]byte
	unacked map[broker.Tag]*taken
	taken   uint64
	letters [][]byte
	alive   map[string]*memoryConsumer
	dead    map[string]time.Time
}

// taken is a delivery in somebody's hands.
type taken struct {
	seq   uint64
	owner string
	begun broker.Verb // Begin, Accept or 0
	queue string
	list  string
	raw   []byte
}

// NewMemory makes an empty broker whose workers are dead after presence.
func NewMemory(presence time.Duration) *Memory {
	return &Memory{presence: presence, lists: map[string][][]byte{}, unacked: map[broker.Tag]*taken{},
		alive: map[string]*memoryConsumer{}, dead: map[string]time.Time{}}
}

func listOf(queue string, priority int) string {
	step := 0
	for _, s := range steps {
		if s <= priority {
			step = s
		}
	}
	return fmt.Sprint(queue, "\x06\x16", step)
}

// Publish implements Server.
func (m *Memory) Publish(_ testing.TB, queue string, priority int, payload []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := listOf(queue, priority)
	m.lists[list] = append(m.lists[list], payload)
	m.wake(queue)
}

// wake tells consumers of the queue whose Take came back short.
func (m *Memory) wake(queue string) {
	for _, c := range m.alive {
		if c.hungry && slices.Contains(c.queues, queue) {
			c.hungry = false
			c.report(broker.Ready{})
		}
	}
}

// Waiting implements Server.
func (m *Memory) Waiting(_ testing.TB, queue string) (all [][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range steps {
		all = append(all, m.lists[listOf(queue, s)]...)
	}
	return all
}

// Parked implements Server.
func (m *Memory) Parked(testing.TB) [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.letters)
}

// Connect implements Server.
func (m *Memory) Connect(_ testing.TB, workerID string, queues ...string) broker.Consumer {
	return m.Consumer(workerID, queues...)
}

// Consumer makes a consumer that does not run yet.
func (m *Memory) Consumer(workerID string, queues ...string) broker.Consumer {
	// As many events as no test lets pile up; more means that nobody reads them.
	return &memoryConsumer{m: m, id: workerID, queues: slices.Clone(queues), events: make(chan broker.Event, 4096)}
}

// take hands out one message, as BRPOP over all lists would choose it.
func (m *Memory) take(c *memoryConsumer) (broker.Delivery, bool) {
	for _, s := range steps {
		for i, queue := range c.queues {
			list := listOf(queue, s)
			if len(m.lists[list]) == 0 {
				continue
			}
			raw := m.lists[list][0]
			m.lists[list] = m.lists[list][1:]
			c.queues = append(slices.Delete(c.queues, i, i+1), queue)
			m.taken++
			tag := m.tagOf(raw)
			m.unacked[tag] = &taken{seq: m.taken, owner: c.id, queue: queue, list: list, raw: raw}
			return deliver(tag, queue, raw), true
		}
	}
	return broker.Delivery{}, false
}

func deliver(tag broker.Tag, queue string, raw []byte) broker.Delivery {
	msg := celerymsg.ParseEnvelope(raw)
	return broker.Delivery{Tag: tag, Queue: queue, Redelivered: msg.Redelivered, Deaths: msg.Deaths, Message: msg}
}

// tagOf is the message's own tag, or another when there is none or it is in use.
func (m *Memory) tagOf(raw []byte) broker.Tag {
	var envelope struct {
		Properties struct {
			Tag string `json:"delivery_tag"`
		} `json:"properties"`
	}
	_ = json.Unmarshal(raw, &envelope) // garbage has no tag
	tag := broker.Tag(envelope.Properties.Tag)
	if _, used := m.unacked[tag]; used || tag == "" {
		tag = broker.Tag(fmt.Sprint(tag, "~", m.taken))
	}
	return tag
}

// give puts a message back, at the front or at the end of its list.
func (m *Memory) give(h *taken, deaths int, front bool) {
	raw := celerymsg.MarkRestored(h.raw, deaths)
	if front {
		m.lists[h.list] = slices.Insert(m.lists[h.list], 0, raw)
	} else {
		m.lists[h.list] = append(m.lists[h.list], raw)
	}
	m.wake(h.queue)
}

// sweep lets one living consumer see to what the dead held.
func (m *Memory) sweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.alive {
		if time.Since(c.since) < m.presence {
			continue
		}
		for id, at := range m.dead {
			if time.Since(at) >= m.presence {
				delete(m.dead, id)
				m.inherit(c, id)
			}
		}
		return
	}
}

func (m *Memory) inherit(c *memoryConsumer, id string) {
	restored := 0
	var orphans []broker.Delivery
	for _, tag := range m.heldBy(id) {
		h := m.unacked[tag]
		if h.begun == broker.Accept {
			h.owner = c.id
			orphans = append(orphans, deliver(tag, h.queue, h.raw))
			continue
		}
		deaths := 0
		if h.begun == broker.Begin {
			deaths = celerymsg.ParseEnvelope(h.raw).Deaths + 1
		}
		delete(m.unacked, tag)
		m.give(h, deaths, true)
		restored++
	}
	if restored > 0 {
		c.report(broker.PeerRestored{Peer: id, Count: restored})
	}
	if orphans != nil {
		c.report(broker.Orphaned{Peer: id, Deliveries: orphans})
	}
}

// heldBy lists a worker's deliveries, newest first.
func (m *Memory) heldBy(id string) (tags []broker.Tag) {
	for tag, h := range m.unacked {
		if h.owner == id {
			tags = append(tags, tag)
		}
	}
	slices.SortFunc(tags, func(a, b broker.Tag) int {
		if m.unacked[a].seq > m.unacked[b].seq {
			return -1
		}
		return 1
	})
	return tags
}
