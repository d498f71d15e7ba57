package message

import (
	"encoding/json"
	"time"
)

// Message is one message, ready to be sent.
type Message struct {
	Exchange     string
	ExchangeType string
	RoutingKey   string
	Priority     int
	TaskID       string
	// Envelope is kombu's JSON envelope, for transports that send one text (Redis).
	Envelope []byte
	// For AMQP: what kombu would give to basic.publish.
	Body       []byte
	Headers    json.RawMessage // object
	Properties json.RawMessage // object: content_type, content_encoding, delivery_mode, priority, correlation_id, reply_to, expiration
	// Declare is what kombu declares before publishing, in its order; shared
	// between messages: read only.
	Declare []Declaration
}

// Unmade: the app could not make the message. It goes nowhere; its tick is recorded.
func (m Message) Unmade() bool { return m.Envelope == nil && m.Headers == nil }

// Declaration is a queue with its exchange and binding as Celery declares them.
// A queue with several bindings comes as several declarations. Without a Queue, only
// the exchange is declared; without an Exchange, the queue is not bound.
type Declaration struct {
	Queue              string                     `json:"queue"`
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

// Values fill a Blueprint's gaps. The texts may be any: what JSON would escape is
// escaped.
type Values struct {
	TaskID      string
	DeliveryTag string
	Now         time.Time
}
