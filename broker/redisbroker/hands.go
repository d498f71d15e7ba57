package redisbroker

import (
	"sort"
	"sync"
	"time"

	"crisper/broker"
)

// hold is one delivery in hand.
type hold struct {
	seq   uint64 // order of taking
	tag   broker.Tag
	raw   []byte
	queue string
	list  string // the key it was taken from
	eta   time.Time
	score float64 // in the index, as last written
	// uncertain: a settlement that ends it was sent and no answer has come (yet).
	// If it is found gone, that settlement is why.
	uncertain bool
}

// hands is what this worker holds, by tag.
type hands struct {
	mu   sync.Mutex // guards all
	next uint64
	held map[broker.Tag]*hold
}

func newHands() *hands { return &hands{held: map[broker.Tag]*hold{}} }

func (h *hands) add(holds []*hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range holds {
		h.next++
		x.seq = h.next
		h.held[x.tag] = x
	}
}

func (h *hands) get(tag broker.Tag) *hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held[tag]
}

// drop forgets a hold unless its tag has been taken anew since.
func (h *hands) drop(x *hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held[x.tag] == x {
		delete(h.held, x.tag)
	}
}

// doubt marks what a batch is about to end, and says what was in doubt before.
func (h *hands) doubt(part []verdict) (before []bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before = make([]bool, len(part))
	for i, v := range part {
		before[i] = v.hold.uncertain
		v.hold.uncertain = v.hold.uncertain || v.ends()
	}
	return before
}

// trust takes the marks back: the batch was certainly not carried out.
func (h *hands) trust(part []verdict, before []bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, v := range part {
		v.hold.uncertain = before[i]
	}
}

// forget drops those that the broker says are not ours, and names them. What is
// just being settled is left to that settlement.
func (h *hands) forget(missing []*hold) (gone []broker.Tag) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range missing {
		if h.held[x.tag] == x && !x.uncertain {
			delete(h.held, x.tag)
			gone = append(gone, x.tag)
		}
	}
	return gone
}

func (h *hands) scored(x *hold, score float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x.score = score
}

// all are the holds in the order of taking.
func (h *hands) all() []*hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*hold, 0, len(h.held))
	for _, x := range h.held {
		list = append(list, x)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].seq < list[j].seq })
	return list
}

func (h *hands) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.held)
}
