package amqpbroker

import (
	"errors"
	"fmt"
	"math"
)

// check finds what cannot be written at all. It comes before the first byte: what
// amqp091 finds in the middle of a frame costs the connection, and its error looks
// like that of a broken one.
func (m Message) check() error {
	p := m.Publishing
	err := short("exchange", m.Exchange, "routing key", m.RoutingKey, "content type", p.ContentType, "content encoding", p.ContentEncoding,
		"correlation id", p.CorrelationId, "reply to", p.ReplyTo, "expiration", p.Expiration, "message id", p.MessageId,
		"type", p.Type, "user id", p.UserId, "app id", p.AppId)
	if err := errors.Join(err, p.Headers.Validate()); err != nil {
		return fmt.Errorf("cannot send a message: %w", err)
	}
	for _, d := range m.Declare {
		if err := d.check(); err != nil {
			return fmt.Errorf("cannot declare queue %.40q, exchange %.40q: %w", d.Queue, d.Exchange, err)
		}
	}
	return nil
}

func (d Declaration) check() error {
	_, err1 := arguments(d.ExchangeArguments)
	_, err2 := arguments(d.Arguments)
	_, err3 := arguments(d.BindArguments)
	return errors.Join(err1, err2, err3,
		short("queue", d.Queue, "exchange", d.Exchange, "exchange type", d.ExchangeType, "routing key", d.RoutingKey))
}

// short looks at pairs of a name and a text: AMQP counts their bytes in one.
func short(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if len(pairs[i+1]) > math.MaxUint8 {
			return fmt.Errorf("the %s %.20q… is longer than 255 bytes", pairs[i], pairs[i+1])
		}
	}
	return nil
}
