package amqpbeat

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"crisper/beat"
	"crisper/broker/amqpbroker"
)

// Publish implements beat.Publisher.
func (p *Publisher) Publish(ctx context.Context, token uint64, batch []beat.Publication) ([]beat.Outcome, error) {
	outcomes, err := p.publish(ctx, token, batch)
	if err != nil {
		return nil, fmt.Errorf("cannot publish %d ticks: %w", len(batch), err)
	}
	for _, b := range batch { // only these: another request may be without an answer yet
		delete(p.settled, keyOf(b))
	}
	return outcomes, nil
}

func (p *Publisher) publish(ctx context.Context, token uint64, batch []beat.Publication) ([]beat.Outcome, error) {
	var todo []beat.Publication
	var outcomes []beat.Outcome
	paced := false
	err := p.again(ctx, func(ctx context.Context) error {
		if err := p.enter(ctx, token); err != nil {
			return err
		}
		todo, outcomes = p.plan(batch)
		if len(todo) == 0 {
			return nil
		}
		if !paced {
			if err := p.pace(ctx); err != nil {
				return err
			}
			paced = true
		}
		return p.claim(ctx, token, todo)
	})
	if err != nil || len(todo) == 0 {
		return outcomes, err
	}
	// The term may have ended while the claim was written; from here on only its
	// context keeps another leader from sending the same.
	if err := ctx.Err(); err != nil {
		return nil, classify(ctx, err)
	}
	sent := p.send(ctx, todo)
	if err := p.record(ctx, token, todo); err != nil {
		return nil, err
	}
	if sent != nil {
		return nil, classify(ctx, sent)
	}
	return p.answer(batch, outcomes), nil
}

// plan tells which ticks are to be sent, and the outcomes of the others.
func (p *Publisher) plan(batch []beat.Publication) (todo []beat.Publication, outcomes []beat.Outcome) {
	outcomes = make([]beat.Outcome, len(batch))
	last := map[string]int64{}
	for i, b := range batch {
		due := b.Tick.Due.UnixMicro()
		moved, ours := last[b.Tick.Entry]
		if k, known := p.state.records[b.Tick.Entry]; known && !ours {
			moved, ours = k.last, true
		}
		if !ours || due > moved {
			last[b.Tick.Entry] = due
			todo = append(todo, b)
			outcomes[i] = -1
			continue
		}
		outcomes[i] = beat.Already
		if o, known := p.settled[keyOf(b)]; known { // recorded by a request whose answer was lost
			outcomes[i] = o
		}
	}
	return todo, outcomes
}

// answer fills in the fates of what was sent now.
func (p *Publisher) answer(batch []beat.Publication, outcomes []beat.Outcome) []beat.Outcome {
	for i, b := range batch {
		if outcomes[i] < 0 {
			outcomes[i] = p.settled[keyOf(b)]
		}
	}
	return outcomes
}

// pace waits until the store may be written again.
func (p *Publisher) pace(ctx context.Context) error {
	wait := time.Until(p.began.Add(p.cfg.Store.Limits().Pace))
	if wait > 0 {
		p.waiting.Store(true)
		defer p.waiting.Store(false)
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
	}
	p.began = time.Now()
	return nil
}

// claim writes which ticks are about to be sent. It fails if another has written
// since the state was read.
func (p *Publisher) claim(ctx context.Context, token uint64, todo []beat.Publication) error {
	p.state.token = token
	p.state.claims = make([]claim, len(todo))
	for i, b := range todo {
		p.state.claims[i] = claim{b.Tick.Entry, b.Tick.Due.UnixMicro(), b.Message.TaskID}
	}
	return p.save(ctx)
}

// send publishes what has not been confirmed yet and notes the fates that are known.
func (p *Publisher) send(ctx context.Context, todo []beat.Publication) error {
	const tries = 3 // of what is nacked
	for try := 1; try <= tries; try++ {
		var open []beat.Publication
		var messages []amqpbroker.Message
		for _, b := range todo {
			if _, known := p.settled[keyOf(b)]; known {
				continue
			}
			if b.Message.Unmade() { // who could not make it has told so
				p.settled[keyOf(b)] = beat.Unroutable
				continue
			}
			m, err := convert(b)
			if err != nil {
				p.settle(b, amqpbroker.Result{Fate: amqpbroker.Refused, Err: err})
				continue
			}
			open, messages = append(open, b), append(messages, m)
		}
		if len(open) == 0 {
			return nil
		}
		results, err := p.sender.Publish(ctx, messages)
		for i, r := range results {
			if r.Fate != amqpbroker.Nacked || try == tries {
				p.settle(open[i], r)
			}
			if r.Fate == amqpbroker.Unknown && err == nil { // a sender owes a reason: this is not "sent"
				err = fmt.Errorf("%w: it is not known what became of a message", beat.ErrUnavailable)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settle notes what became of a tick, unless that is unknown.
func (p *Publisher) settle(b beat.Publication, r amqpbroker.Result) {
	why := ""
	switch r.Fate {
	case amqpbroker.Confirmed:
		p.settled[keyOf(b)] = beat.Published
		return
	case amqpbroker.Returned:
		why = "no queue takes it"
	case amqpbroker.Nacked:
		why = "the broker does not take it: a queue is full or has failed"
	case amqpbroker.Refused:
		why = r.Err.Error()
	default:
		return
	}
	p.settled[keyOf(b)] = beat.Unroutable
	p.cfg.Log.Warn("a tick could not be sent", zap.String("entry", b.Tick.Entry), zap.String("exchange", b.Message.Exchange),
		zap.String("routing_key", b.Message.RoutingKey), zap.String("error", why))
}

func convert(b beat.Publication) (amqpbroker.Message, error) {
	published, err := amqpbroker.Publishing(b.Message.Body, b.Message.Headers, b.Message.Properties)
	if err != nil {
		return amqpbroker.Message{}, err
	}
	m := amqpbroker.Message{Exchange: b.Message.Exchange, RoutingKey: b.Message.RoutingKey, Publishing: published}
	for _, d := range b.Message.Declare {
		m.Declare = append(m.Declare, amqpbroker.Declaration(d))
	}
	return m, nil
}

// record writes what is known to have been sent, whoever leads by now.
func (p *Publisher) record(ctx context.Context, token uint64, todo []beat.Publication) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.RecordTimeout)
	defer cancel()
	return p.again(ctx, func(ctx context.Context) error {
		if err := p.load(ctx); err != nil {
			return err
		}
		if !p.note(token, todo) {
			return p.fence(token)
		}
		if err := p.save(ctx); err != nil {
			return err
		}
		return p.fence(token)
	})
}

func (p *Publisher) fence(token uint64) error {
	if p.state.token > token {
		return &beat.Fenced{Stored: p.state.token}
	}
	return nil
}

// note moves the records. Those of an entry stop at its first tick whose fate is
// unknown: a later one would hide it.
func (p *Publisher) note(token uint64, todo []beat.Publication) (changed bool) {
	open := map[string]bool{}
	for _, b := range todo {
		_, known := p.settled[keyOf(b)]
		if open[b.Tick.Entry] = open[b.Tick.Entry] || !known; open[b.Tick.Entry] {
			continue
		}
		k, is := p.state.records[b.Tick.Entry]
		if due := b.Tick.Due.UnixMicro(); !is || due > k.last {
			p.state.set(b.Tick.Entry, kept{due, b.Tick.Count})
			changed = true
		}
	}
	if p.state.token == token {
		changed = changed || len(p.state.claims) > 0
		p.state.claims = stillOpen(p.state.claims, p.settled)
	}
	return changed
}

func stillOpen(claims []claim, settled map[tickKey]beat.Outcome) (rest []claim) {
	for _, c := range claims {
		if _, known := settled[tickKey(c)]; !known {
			rest = append(rest, c)
		}
	}
	return rest
}
