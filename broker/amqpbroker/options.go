package amqpbroker

import (
	"encoding/json"
	"errors"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"crisper/broker/internal/endpoint"
)

// options are the transport options that concern us. pyamqp hands all of them to
// amqp.Connection, where they win over the settings (kombu/transport/pyamqp.py).
type options struct {
	connectTimeout time.Duration
	heartbeat      *time.Duration
	loginMethod    string
	channelMax     uint16
	frameMax       int
	properties     amqp.Table
}

// passive options are known and need nothing from us; the reason stands beside each.
var passive = map[string]string{
	"confirm_publish": "publishing is always confirmed", "read_timeout": "every call has a deadline", "write_timeout": "as above",
	"socket_settings": "the system's, with keep-alive", "max_retries": "of kombu's publishers", "interval_start": "as above",
	"interval_step": "as above", "interval_max": "as above", "errback": "as above", "retry_errors": "as above",
	"native_delayed_delivery_queue_type": "of consumers", "locale": "there is one", "failover_strategy": "a setting of its own",
}

// refused options are known and cannot be honoured.
var refused = map[string]string{
	"authentication": "it is Python code", "login_response": "it is of login methods of one's own", "on_blocked": "it is Python code",
	"on_unblocked": "it is Python code", "on_open": "it is Python code", "ssl": "give broker_use_ssl",
}

// parseOptions reads all it can and reports all it cannot, at once.
func parseOptions(raw map[string]json.RawMessage) (o options, warnings []string, err error) {
	warnings, err = endpoint.Vocabulary{Set: o.set, Passive: passive, Refused: refused}.Read(raw)
	return o, warnings, err
}

func (o *options) set(name string, value json.RawMessage) (known bool, err error) {
	switch name {
	case "connect_timeout":
		err = seconds(value, &o.connectTimeout)
	case "heartbeat":
		o.heartbeat = new(time.Duration)
		err = seconds(value, o.heartbeat)
	case "login_method":
		err = json.Unmarshal(value, &o.loginMethod)
	case "channel_max":
		err = json.Unmarshal(value, &o.channelMax)
	case "frame_max":
		err = json.Unmarshal(value, &o.frameMax)
	case "client_properties":
		o.properties, err = table(value)
	default:
		return false, nil
	}
	return true, err
}

func seconds(value json.RawMessage, d *time.Duration) error {
	var s float64
	if err := json.Unmarshal(value, &s); err != nil {
		return err
	}
	if s < 0 || s > 1e9 {
		return errors.New("wants a number of seconds")
	}
	*d = time.Duration(s * float64(time.Second))
	return nil
}
