package amqpbroker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	amqp "github.com/rabbitmq/amqp091-go"
)

// table reads a JSON object as the table that py-amqp would write for the same
// dictionary: integers of 32 bits where they fit, of 64 otherwise
// (amqp/serialization.py, write_item).
func table(text json.RawMessage) (amqp.Table, error) {
	if len(bytes.TrimSpace(text)) == 0 || string(text) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	converted, err := field(object)
	if err != nil {
		return nil, err
	}
	return converted.(amqp.Table), nil
}

func field(value any) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		t := make(amqp.Table, len(v))
		for name, each := range v {
			if len(name) > math.MaxUint8 {
				return nil, fmt.Errorf("the name %.20q… is longer than 255 bytes", name)
			}
			converted, err := field(each)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			t[name] = converted
		}
		return t, nil
	case []any:
		list := make([]any, len(v))
		for i, each := range v {
			converted, err := field(each)
			if err != nil {
				return nil, err
			}
			list[i] = converted
		}
		return list, nil
	case json.Number:
		return numeric(v)
	}
	return value, nil // string, bool, nil
}

func numeric(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		if i >= math.MinInt32 && i <= math.MaxInt32 {
			return int32(i), nil
		}
		return i, nil
	}
	f, err := n.Float64()
	if err != nil || !bytes.ContainsAny([]byte(n), ".eE") {
		return nil, errors.New("the number " + n.String() + " does not fit into AMQP")
	}
	return f, nil
}

// properties are those of basic.publish, in kombu's names.
type properties struct {
	ContentType     string `json:"content_type"`
	ContentEncoding string `json:"content_encoding"`
	DeliveryMode    uint8  `json:"delivery_mode"`
	Priority        *uint8 `json:"priority"`
	CorrelationID   string `json:"correlation_id"`
	ReplyTo         string `json:"reply_to"`
	Expiration      string `json:"expiration"`
	MessageID       string `json:"message_id"`
	Type            string `json:"type"`
	UserID          string `json:"user_id"`
	AppID           string `json:"app_id"`
}

// Publishing makes a message of what kombu would give to basic.publish: headers and
// properties are JSON objects.
func Publishing(body []byte, headers, props json.RawMessage) (amqp.Publishing, error) {
	var p properties
	if len(props) > 0 {
		if err := json.Unmarshal(props, &p); err != nil {
			return amqp.Publishing{}, fmt.Errorf("cannot read the properties of a message: %w", err)
		}
	}
	t, err := table(headers)
	if err != nil {
		return amqp.Publishing{}, fmt.Errorf("cannot read the headers of a message: %w", err)
	}
	m := amqp.Publishing{
		Headers: t, Body: body, ContentType: p.ContentType, ContentEncoding: p.ContentEncoding, DeliveryMode: p.DeliveryMode,
		CorrelationId: p.CorrelationID, ReplyTo: p.ReplyTo, Expiration: p.Expiration, MessageId: p.MessageID,
		Type: p.Type, UserId: p.UserID, AppId: p.AppID,
	}
	if p.Priority != nil {
		m.Priority = *p.Priority
	}
	return m, nil
}
