package beattest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"crisper/beat"
)

// Memory is a World in memory, for tests of what stands on a beat.Publisher.
type Memory struct {
	mu      sync.Mutex // guards all below
	token   uint64
	records map[string]beat.Record
	sent    map[string][]string
	away    bool // requests are not carried out
	mute    bool // answers do not come
}

// NewMemory makes an empty one.
func NewMemory() *Memory {
	return &Memory{records: map[string]beat.Record{}, sent: map[string][]string{}}
}

// Connect implements World.
func (m *Memory) Connect(testing.TB) beat.Publisher {
	return &memoryPublisher{m: m, doubt: map[string]bool{}}
}

// Sent implements World.
func (m *Memory) Sent(_ testing.TB, queue string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.sent[queue]...)
}

// LoseAnswers implements Breakable.
func (m *Memory) LoseAnswers(testing.TB) func() { return m.fault(&m.mute) }

// Cut implements Breakable.
func (m *Memory) Cut(testing.TB) func() { return m.fault(&m.away) }

// HalfOpen implements Breakable.
func (m *Memory) HalfOpen(testing.TB) func() { return m.fault(&m.away) }

func (m *Memory) fault(f *bool) func() {
	set := func(on bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		*f = on
	}
	set(true)
	return func() { set(false) }
}

// Records are those that are kept now.
func (m *Memory) Records() map[string]beat.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]beat.Record, len(m.records))
	for name, r := range m.records {
		all[name] = r
	}
	return all
}

type memoryPublisher struct {
	m     *Memory
	doubt map[string]bool // task ids of unanswered requests
}

func (p *memoryPublisher) Close() error { return nil }

// enter checks what every request is checked for; the lock is held by the caller.
func (p *memoryPublisher) enter(ctx context.Context, token uint64) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", beat.ErrUnavailable, ctx.Err())
	case p.m.away:
		return fmt.Errorf("%w: the memory is away", beat.ErrUnavailable)
	case token < p.m.token:
		return &beat.Fenced{Stored: p.m.token}
	}
	p.m.token = token
	return nil
}

func (p *memoryPublisher) answer() error {
	if p.m.mute {
		return fmt.Errorf("%w: the answer is lost", beat.ErrUnavailable)
	}
	return nil
}

func (p *memoryPublisher) Register(ctx context.Context, token uint64, fresh map[string]beat.Record) (map[string]beat.Record, error) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if err := p.enter(ctx, token); err != nil {
		return nil, err
	}
	records := make(map[string]beat.Record, len(fresh))
	for name, r := range fresh {
		if stored, ok := p.m.records[name]; ok {
			r = stored
		}
		r.Last = r.Last.Truncate(time.Microsecond)
		records[name] = r
	}
	p.m.records = records
	copied := make(map[string]beat.Record, len(fresh))
	for name, r := range records {
		copied[name] = r
	}
	return copied, p.answer()
}

func (p *memoryPublisher) Publish(ctx context.Context, token uint64, batch []beat.Publication) ([]beat.Outcome, error) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if err := p.enter(ctx, token); err != nil {
		return nil, err
	}
	outcomes := make([]beat.Outcome, len(batch))
	for i, b := range batch {
		outcomes[i] = p.publish(b)
	}
	err := p.answer()
	for _, b := range batch {
		if err != nil {
			p.doubt[b.Message.TaskID] = true
		} else {
			delete(p.doubt, b.Message.TaskID)
		}
	}
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

func (p *memoryPublisher) publish(b beat.Publication) beat.Outcome {
	b.Tick.Due = b.Tick.Due.Truncate(time.Microsecond)
	r, known := p.m.records[b.Tick.Entry]
	switch {
	case known && !r.Last.Before(b.Tick.Due):
		if p.doubt[b.Message.TaskID] {
			return beat.Published
		}
		return beat.Already
	case b.Message.RoutingKey == "":
		p.m.records[b.Tick.Entry] = beat.Record{Last: b.Tick.Due, Count: b.Tick.Count}
		return beat.Unroutable
	}
	p.m.records[b.Tick.Entry] = beat.Record{Last: b.Tick.Due, Count: b.Tick.Count}
	p.m.sent[b.Message.RoutingKey] = append(p.m.sent[b.Message.RoutingKey], b.Message.TaskID)
	return beat.Published
}
