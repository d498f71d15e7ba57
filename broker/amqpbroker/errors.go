package amqpbroker

import (
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"crisper/broker"
)

// classify gives an error of a connection one of broker's two faces.
func classify(err error) error {
	if err == nil || errors.Is(err, broker.ErrRefused) || errors.Is(err, broker.ErrUnavailable) {
		return err
	}
	var reply *amqp.Error
	if errors.As(err, &reply) {
		switch reply.Code {
		case amqp.AccessRefused, amqp.NotAllowed, amqp.InvalidPath, amqp.NotImplemented:
			return fmt.Errorf("%w: %v", broker.ErrRefused, err)
		}
	}
	if errors.Is(err, amqp.ErrCredentials) || errors.Is(err, amqp.ErrSASL) || errors.Is(err, amqp.ErrVhost) {
		return fmt.Errorf("%w: %v", broker.ErrRefused, err)
	}
	return fmt.Errorf("%w: %v", broker.ErrUnavailable, err)
}

// soft tells an exception that costs a channel from one that costs the connection.
func soft(err error) (*amqp.Error, bool) {
	var reply *amqp.Error
	if !errors.As(err, &reply) || !reply.Server {
		return nil, false
	}
	switch reply.Code {
	case amqp.ContentTooLarge, amqp.NoRoute, amqp.NoConsumers, amqp.AccessRefused, amqp.NotFound, amqp.ResourceLocked, amqp.PreconditionFailed:
		return reply, true
	}
	return nil, false
}
