package amqpbroker

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// lane is a channel in confirm mode for the messages of one exchange.
type lane struct {
	ch       *amqp.Channel
	confirms chan amqp.Confirmation // capacity: all in flight; the reader must not wait
	returns  chan amqp.Return       // as above; a return comes before its confirm
	closed   chan *amqp.Error       // capacity 1: there is one reason at most
	inFlight []int                  // numbers of messages, in the order of their sequence numbers
}

func (p *Publisher) lane(exchange string) (*lane, error) {
	if l := p.lanes[exchange]; l != nil && !l.ch.IsClosed() {
		return l, nil
	}
	ch, err := p.session.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("cannot open a channel: %w", err)
	}
	l := &lane{ch: ch}
	l.confirms = ch.NotifyPublish(make(chan amqp.Confirmation, page))
	l.returns = ch.NotifyReturn(make(chan amqp.Return, page))
	l.closed = ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := ch.Confirm(false); err != nil {
		return nil, fmt.Errorf("cannot ask for confirms: %w", err)
	}
	p.lanes[exchange] = l
	return l, nil
}

// write sends the messages of these numbers and reads their fates. It returns those
// that a channel exception has left in doubt; an error means that the connection is
// lost.
func (p *Publisher) write(ctx context.Context, part []Message, todo []int, results []Result) (again []int, err error) {
	used := map[string]*lane{}
	var order []string // of first use
	for _, i := range todo {
		m := part[i]
		l := used[m.Exchange]
		if l == nil {
			if l, err = p.lane(m.Exchange); err != nil {
				return nil, err
			}
			l.inFlight = l.inFlight[:0]
			used[m.Exchange] = l
			order = append(order, m.Exchange)
		}
		err := l.ch.Publish(m.Exchange, m.RoutingKey, true, false, m.Publishing)
		if err != nil && !l.ch.IsClosed() { // a channel's reason is read below
			// The connection's: amqp091 may learn of that only in a moment.
			return nil, fmt.Errorf("cannot send a message: %w", err)
		}
		l.inFlight = append(l.inFlight, i)
	}
	for _, exchange := range order {
		doubt, err := p.settle(ctx, exchange, used[exchange], part, results)
		if err != nil {
			return nil, err
		}
		again = append(again, doubt...)
	}
	return again, nil
}

// settle reads the confirms of a lane until all have come or it is closed.
func (p *Publisher) settle(ctx context.Context, exchange string, l *lane, part []Message, results []Result) (again []int, err error) {
	for len(l.inFlight) > 0 {
		select {
		case c, open := <-l.confirms:
			if !open {
				return p.abandon(exchange, l, part, results)
			}
			l.read(c, part, results)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, nil
}

// read settles the oldest message: amqp091 gives confirms in sequence.
func (l *lane) read(c amqp.Confirmation, part []Message, results []Result) {
	i := l.inFlight[0]
	l.drain(part, results)
	l.inFlight = l.inFlight[1:]
	switch {
	case !c.Ack:
		results[i].Fate = Nacked
	case results[i].Fate != Returned:
		results[i].Fate = Confirmed
	}
}

// drain marks what has come back. A return carries no number: it is the first in
// flight that looks like it. Messages that look alike are routed alike.
func (l *lane) drain(part []Message, results []Result) {
	for {
		select {
		case r, open := <-l.returns:
			if !open {
				return
			}
			for _, i := range l.inFlight {
				m := part[i]
				if results[i].Fate != Returned && m.RoutingKey == r.RoutingKey && m.Publishing.CorrelationId == r.CorrelationId &&
					m.Publishing.MessageId == r.MessageId && bytes.Equal(m.Publishing.Body, r.Body) {
					results[i].Fate = Returned
					break
				}
			}
		default:
			return
		}
	}
}

// abandon deals with a lane that the broker has closed. Who was alone on it is to
// blame; several are tried one by one.
func (p *Publisher) abandon(exchange string, l *lane, part []Message, results []Result) ([]int, error) {
	delete(p.lanes, exchange)
	delete(p.exists, exchange) // it may be gone
	l.drain(part, results)
	why := <-l.closed
	if why == nil {
		return nil, errors.New("the channel was closed")
	}
	if _, ok := soft(why); !ok || p.session.conn.IsClosed() {
		return nil, why
	}
	if len(l.inFlight) > 1 {
		for _, i := range l.inFlight {
			results[i] = Result{}
		}
		return l.inFlight, nil
	}
	i := l.inFlight[0]
	results[i] = Result{Fate: Refused, Err: fmt.Errorf("cannot publish to exchange %q with routing key %q: %w", exchange, part[i].RoutingKey, why)}
	return nil, nil
}
