package amqpbeat

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"crisper/beat"
	"crisper/broker"
	"crisper/broker/amqpbroker"
)

// Sender sends messages and waits for confirms; amqpbroker.Publisher is one.
type Sender interface {
	Publish(ctx context.Context, batch []amqpbroker.Message) ([]amqpbroker.Result, error)
	Close() error
}

// Config is what New needs.
type Config struct {
	Store Store
	// RecordTimeout bounds the last step of a batch, which is taken even though the term
	// has ended. Default 1 s.
	RecordTimeout time.Duration
	Log           *zap.Logger
}

// tickKey is a tick as one request knows it.
type tickKey struct {
	entry string
	due   int64
	task  string
}

func keyOf(b beat.Publication) tickKey {
	return tickKey{b.Tick.Entry, b.Tick.Due.UnixMicro(), b.Message.TaskID}
}

// Publisher implements beat.Publisher. One goroutine uses it.
type Publisher struct {
	cfg    Config
	sender Sender

	state   *state // nil: to be read
	version string
	began   time.Time // of the last batch
	waiting atomic.Bool
	// settled: fates of ticks of requests that have not been answered; of each lane of
	// entries there can be one.
	settled map[tickKey]beat.Outcome
}

var (
	_ beat.Publisher = (*Publisher)(nil)
	_ beat.Waiter    = (*Publisher)(nil)
)

// New takes over the sender, which Close closes.
func New(sender Sender, cfg Config) *Publisher {
	if cfg.RecordTimeout <= 0 {
		cfg.RecordTimeout = time.Second
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Publisher{cfg: cfg, sender: sender, settled: map[tickKey]beat.Outcome{}}
}

// Waiting implements beat.Waiter; from any goroutine.
func (p *Publisher) Waiting() bool { return p.waiting.Load() }

// Close implements beat.Publisher.
func (p *Publisher) Close() error { return p.sender.Close() }

// conflicts is how often a step is tried again after somebody else has written:
// each time one of them got through.
const conflicts = 20

// again runs a step until it meets no conflict.
func (p *Publisher) again(ctx context.Context, step func(ctx context.Context) error) error {
	for range conflicts {
		err := step(ctx)
		if err == nil {
			return nil
		}
		var fenced *beat.Fenced
		if !errors.As(err, &fenced) {
			p.state = nil // read anew after any doubt
		}
		if !errors.Is(err, ErrConflict) {
			return classify(ctx, err)
		}
	}
	return fmt.Errorf("%w: others write all the time", beat.ErrUnavailable)
}

// classify: what ends with the context is unavailable, too.
func classify(ctx context.Context, err error) error {
	var fenced *beat.Fenced
	if ended := ctx.Err(); ended != nil && !errors.As(err, &fenced) {
		return fmt.Errorf("%w: %w", beat.ErrUnavailable, ended)
	}
	if errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, beat.ErrUnavailable) {
		return fmt.Errorf("%w: %w", beat.ErrUnavailable, err)
	}
	return err
}

// load reads the store unless it has been read.
func (p *Publisher) load(ctx context.Context) error {
	if p.state != nil {
		return nil
	}
	text, version, err := p.cfg.Store.Load(ctx)
	if err != nil {
		return err
	}
	s, err := decode(text)
	if err != nil {
		return fmt.Errorf("%w: %w", broker.ErrRefused, err)
	}
	p.state, p.version = s, version
	return nil
}

// enter reads the store and checks the token.
func (p *Publisher) enter(ctx context.Context, token uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.load(ctx); err != nil {
		return err
	}
	if p.state.token > token {
		return &beat.Fenced{Stored: p.state.token}
	}
	return nil
}

// save writes the state. After an error the state in memory is not what is stored.
func (p *Publisher) save(ctx context.Context) error {
	text := p.state.encode()
	limits := p.cfg.Store.Limits()
	if len(text) > limits.Bytes {
		p.state.fold()
		text = p.state.encode()
	}
	if len(text) > limits.Bytes {
		return fmt.Errorf("%w: the records of %d entries are %d bytes, and %s takes %d; use Redis as broker, or split the schedule",
			broker.ErrRefused, len(p.state.records), len(text), limits.Name, limits.Bytes)
	}
	version, err := p.cfg.Store.Swap(ctx, text, p.version)
	if err != nil {
		return err
	}
	p.version = version
	return nil
}

// Register implements beat.Publisher.
func (p *Publisher) Register(ctx context.Context, token uint64, fresh map[string]beat.Record) (map[string]beat.Record, error) {
	p.state = nil // another may have led
	err := p.again(ctx, func(ctx context.Context) error { return p.register(ctx, token, fresh) })
	if err != nil {
		return nil, fmt.Errorf("cannot register the entries: %w", err)
	}
	known := make(map[string]beat.Record, len(fresh))
	for name := range fresh {
		known[name] = p.state.records[name].record()
	}
	return known, nil
}

// forgetSettled drops fates that nobody will ask for: of entries that are gone, and those
// recorded in a term before. What was confirmed and could not be recorded stays: if we
// lead again before anybody else, it is not sent again.
func (p *Publisher) forgetSettled(token uint64, fresh map[string]beat.Record) {
	for key := range p.settled {
		_, stays := fresh[key.entry]
		recorded := p.state.token != token && p.state.records[key.entry].last >= key.due
		if !stays || recorded {
			delete(p.settled, key)
		}
	}
}

func (p *Publisher) register(ctx context.Context, token uint64, fresh map[string]beat.Record) error {
	if err := p.enter(ctx, token); err != nil {
		return err
	}
	s := p.state
	changed := s.token != token || len(s.claims) > 0
	if n := len(s.claims); n > 0 {
		p.cfg.Log.Info("ticks of the former leader are in doubt; they are sent again with the same task ids", zap.Int("ticks", n), zap.String("first", s.claims[0].entry))
	}
	p.forgetSettled(token, fresh)
	s.token, s.claims = token, nil
	for name := range s.records {
		if _, stays := fresh[name]; !stays {
			s.drop(name)
			changed = true
		}
	}
	for name, r := range fresh {
		if _, known := s.records[name]; !known {
			s.set(name, keep(r))
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return p.save(ctx)
}
