package broker

import (
	"context"

	"crisper/broker/celerymsg"
)

// Fanout is what events and remote control need of a broker beside task queues:
// messages that nobody keeps. A Consumer may be one too; what it subscribes to
// lives and dies with its connection.
//
// Nothing here is promised to arrive. A message that is published while there is
// no connection fails with ErrUnavailable; one that is broadcast while we are not
// connected is never seen.
type Fanout interface {
	// Listen subscribes to a fanout exchange. Call it before Run, once for each
	// exchange. The channel is closed when Run has returned; what arrives while its
	// reader is a thousand messages behind is dropped.
	Listen(exchange string) <-chan Broadcast
	// Publish sends a batch, in order. Safe to call again after ErrUnavailable, though
	// a part may then arrive twice. unheard: the last of those that were for everybody
	// is known to have reached nobody.
	Publish(ctx context.Context, batch []Publication) (unheard bool, err error)
	// Ask broadcasts a question and gathers the replies until everybody who
	// received it has answered, as far as the broker can tell, or ctx ends. make is
	// given the address for replies and returns what to publish.
	Ask(ctx context.Context, replyExchange string, make func(Address) Publication) ([]Broadcast, error)
}

// Publication is a message to be sent: JSON, transient.
type Publication struct {
	Exchange, RoutingKey string
	// Direct: to the queues that are bound to a direct exchange (replies). Otherwise the
	// exchange reaches everybody who listens; nobody is fine.
	Direct bool
	// Headers is a JSON object, nil for none.
	Headers []byte
	// Body is JSON, or text of ContentType and ContentEncoding where those are given.
	Body                         []byte
	ContentType, ContentEncoding string
}

// Broadcast is a message that came by a fanout exchange, or as a reply. Its
// Message has headers, body and content type; it is no task.
type Broadcast struct {
	Exchange string
	Message  celerymsg.Message
}

// Address is where replies are to be sent.
type Address struct{ Exchange, RoutingKey string }

// Selector is a Consumer whose queues can be changed while it runs (remote
// control's add_consumer and cancel_consumer).
type Selector interface {
	// Consume adds a queue; one that is consumed already is left as it is.
	Consume(ctx context.Context, q Queue) error
	// Cancel takes nothing more from a queue. What is in hand stays so. Cancelling
	// what is not consumed does nothing.
	Cancel(ctx context.Context, queue string) error
}
