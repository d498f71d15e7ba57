package brokertest

import (
	"context"
	"sync"

	"crisper/broker"
)

// Faulty wraps a consumer and fails on command, before or after the request was
// carried out: the two ways in which an answer can be missing.
type Faulty struct {
	broker.Consumer

	mu     sync.Mutex // guards all below
	before []error
	after  []error
}

// FailBefore makes the next call of Take, Settle or Backlog fail undone.
func (f *Faulty) FailBefore(err error) { f.add(&f.before, err) }

// FailAfter makes the next call be carried out, and its answer be lost.
func (f *Faulty) FailAfter(err error) { f.add(&f.after, err) }

func (f *Faulty) add(list *[]error, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*list = append(*list, err)
}

func (f *Faulty) next(list *[]error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(*list) == 0 {
		return nil
	}
	err := (*list)[0]
	*list = (*list)[1:]
	return err
}

// Take implements broker.Consumer.
func (f *Faulty) Take(ctx context.Context, n int) ([]broker.Delivery, error) {
	if err := f.next(&f.before); err != nil {
		return nil, err
	}
	ds, err := f.Consumer.Take(ctx, n)
	if lost := f.next(&f.after); lost != nil {
		return nil, lost
	}
	return ds, err
}

// Settle implements broker.Consumer.
func (f *Faulty) Settle(ctx context.Context, batch []broker.Settlement) ([]broker.Tag, error) {
	if err := f.next(&f.before); err != nil {
		return nil, err
	}
	gone, err := f.Consumer.Settle(ctx, batch)
	if lost := f.next(&f.after); lost != nil {
		return nil, lost
	}
	return gone, err
}

// Backlog implements broker.Consumer.
func (f *Faulty) Backlog(ctx context.Context) (map[string]broker.Backlog, error) {
	if err := f.next(&f.before); err != nil {
		return nil, err
	}
	return f.Consumer.Backlog(ctx)
}
