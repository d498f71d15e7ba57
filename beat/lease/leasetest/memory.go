package leasetest

import (
	"context"
	"fmt"
	"sync"

	"crisper/beat/lease"
)

// Memory is a record that the backends which it opens share.
type Memory struct {
	mu     sync.Mutex
	record lease.Record
	writes int
}

// Open makes another backend for the record.
func (m *Memory) Open() lease.Backend { return memoryBackend{m} }

// Delete removes the record.
func (m *Memory) Delete() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record = lease.Record{}
}

type memoryBackend struct{ m *Memory }

func (b memoryBackend) Read(ctx context.Context) (lease.Record, error) {
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	return b.m.record, ctx.Err()
}

func (b memoryBackend) Write(ctx context.Context, prev, next lease.Record) (lease.Record, error) {
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return next, err
	}
	if b.m.record.Version != prev.Version {
		return next, lease.ErrConflict
	}
	b.m.writes++
	next.Version = fmt.Sprint(b.m.writes)
	b.m.record = next
	return next, nil
}

func (b memoryBackend) String() string { return "record in memory" }
func (b memoryBackend) Close() error   { return nil }
