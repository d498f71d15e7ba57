package amqpbroker

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Declaration is a queue with its exchange and binding, as kombu's Queue.declare
// makes them. The conversion to and from beat/message.Declaration is direct.
type Declaration struct {
	Queue              string                     `json:"queue"` // empty: the exchange alone
	Exchange           string                     `json:"exchange"`
	ExchangeType       string                     `json:"exchange_type"`
	RoutingKey         string                     `json:"routing_key"`
	Durable            bool                       `json:"durable"`
	AutoDelete         bool                       `json:"auto_delete"`
	Exclusive          bool                       `json:"exclusive"`
	NoDeclare          bool                       `json:"no_declare"` // of the exchange: it is there already
	ExchangeDurable    bool                       `json:"exchange_durable"`
	ExchangeAutoDelete bool                       `json:"exchange_auto_delete"`
	ExchangeArguments  map[string]json.RawMessage `json:"exchange_arguments"`
	Arguments          map[string]json.RawMessage `json:"arguments"`
	BindArguments      map[string]json.RawMessage `json:"bind_arguments"`
}

func (d Declaration) identity() string {
	return strings.Join([]string{d.Queue, d.Exchange, d.ExchangeType, d.RoutingKey}, "\x00")
}

// lasting: kombu declares once per connection (can_cache_declaration).
func (d Declaration) lasting() bool {
	if d.Queue == "" {
		return !d.ExchangeAutoDelete
	}
	_, expires := d.Arguments["x-expires"]
	return !d.AutoDelete && !expires
}

// declare makes one declaration. The error names what was being declared.
func (d Declaration) declare(ch *amqp.Channel) error {
	exchange, err1 := arguments(d.ExchangeArguments)
	queue, err2 := arguments(d.Arguments)
	binding, err3 := arguments(d.BindArguments)
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("cannot read the arguments of queue %q, exchange %q: %w", d.Queue, d.Exchange, err)
	}
	if d.Exchange != "" && !d.NoDeclare && !strings.HasPrefix(d.Exchange, "amq.") {
		kind := cmp.Or(d.ExchangeType, "direct")
		if err := ch.ExchangeDeclare(d.Exchange, kind, d.ExchangeDurable, d.ExchangeAutoDelete, false, false, exchange); err != nil {
			return fmt.Errorf("cannot declare exchange %q: %w", d.Exchange, err)
		}
	}
	if d.Queue == "" {
		return nil
	}
	if _, err := ch.QueueDeclare(d.Queue, d.Durable, d.AutoDelete, d.Exclusive, false, queue); err != nil {
		return fmt.Errorf("cannot declare queue %q: %w", d.Queue, err)
	}
	if d.Exchange == "" {
		return nil
	}
	if err := ch.QueueBind(d.Queue, d.RoutingKey, d.Exchange, false, binding); err != nil {
		return fmt.Errorf("cannot bind queue %q to exchange %q: %w", d.Queue, d.Exchange, err)
	}
	return nil
}

func arguments(raw map[string]json.RawMessage) (amqp.Table, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(raw)
	if err != nil {
		return nil, err
	}
	return table(text)
}
