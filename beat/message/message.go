// Package message is what Celery would publish for a periodic task: made by Celery
// itself, with gaps where each run differs.
//
// A Blueprint comes from the app's Python (package app) as texts in which marks
// stand for what only the moment of sending knows: the task id, the delivery tag,
// moments counted from now. Fill puts values in their place and touches no other
// byte, so that serializers, routes and custom headers stay Celery's.
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
	// Declare is what kombu declares before publishing.
	Declare []Declaration
}

// Declaration is a queue with its exchange and binding as Celery declares them.
type Declaration struct {
	Queue           string                     `json:"queue"`
	Exchange        string                     `json:"exchange"`
	ExchangeType    string                     `json:"exchange_type"`
	RoutingKey      string                     `json:"routing_key"`
	Durable         bool                       `json:"durable"`
	AutoDelete      bool                       `json:"auto_delete"`
	Exclusive       bool                       `json:"exclusive"`
	NoDeclare       bool                       `json:"no_declare"`
	ExchangeDurable bool                       `json:"exchange_durable"`
	Arguments       map[string]json.RawMessage `json:"arguments"`
	BindArguments   map[string]json.RawMessage `json:"bind_arguments"`
}

// Values fill a Blueprint's gaps.
type Values struct {
	TaskID      string
	DeliveryTag string
	Now         time.Time
}
