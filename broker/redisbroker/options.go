package redisbroker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"crisper/broker/internal/endpoint"
)

// options are the transport options that concern us (kombu/transport/redis.py,
// Channel.from_transport_options).
type options struct {
	visibility               time.Duration
	steps                    []int
	sep, prefix              string
	order                    string
	unackedKey, indexKey     string
	mutexKey                 string
	mutexExpire              time.Duration
	restoreLimit             int
	restoreInterval          float64 // seconds
	restoreThrottle          int
	socketTimeout            time.Duration
	connectTimeout           time.Duration
	keepalive                bool
	clientName, masterName   string
	sentinelUser, sentinelPw string
	sentinelTLS              bool
	fanoutPrefix             string // with {db} in it
	fanoutPatterns           bool
	sentinelCompat           bool
}

func defaultOptions() options {
	return options{
		visibility: time.Hour, steps: []int{0, 3, 6, 9}, sep: "\x06\x16", order: "round_robin",
		unackedKey: "unacked", indexKey: "unacked_index", mutexKey: "unacked_mutex", mutexExpire: 300 * time.Second,
		restoreInterval: 10, restoreThrottle: 10,
		fanoutPrefix: "/{db}.", fanoutPatterns: true,
	}
}

// passive options are known and need nothing from us; the reason stands beside each.
var passive = map[string]string{
	"socket_keepalive_options": "the system's timings are kept; half-open connections are noticed by our own checks",
	"retry_on_timeout":         "scripts are never sent twice", "health_check_interval": "checked every two seconds by the presence",
	"max_connections": "as many as needed, two and one per list", "min_other_sentinels": "every sentinel is asked in turn",
	"polling_interval": "there is no polling", "reauth_check_interval": "for credential providers",
	"body_encoding": "of publishers", "deadletter_queue": "of the virtual transport's router",
	"confirm_publish": "of AMQP", "max_retries": "of publishers", "interval_start": "of publishers", "interval_step": "of publishers",
	"interval_max": "of publishers", "errback": "of publishers", "connect_retries_timeout": "of publishers", "queue_prefix": "of other transports",
	"result_chord_ordered": "of the backend", "retry_policy": "of the backend",
}

// refused options are known and cannot be honoured.
var refused = map[string]string{
	"credential_provider":     "it is Python code",
	"connection_class":        "it is Python code",
	"connection_class_ssl":    "it is Python code",
	"predefined_exchanges":    "it is of another transport",
	"redis_connection_kwargs": "it is Python code",
}

// parseOptions reads all it can and reports all it cannot, at once.
func parseOptions(raw map[string]json.RawMessage) (o options, warnings []string, err error) {
	o = defaultOptions()
	warnings, err = endpoint.Vocabulary{Set: o.set, Passive: passive, Refused: refused}.Read(raw)
	return o, warnings, err
}

func (o *options) set(name string, value json.RawMessage) (known bool, err error) {
	switch name {
	case "visibility_timeout":
		err = seconds(value, &o.visibility)
	case "priority_steps":
		err = steps(value, &o.steps)
	case "sep":
		err = json.Unmarshal(value, &o.sep)
	case "global_keyprefix":
		err = json.Unmarshal(value, &o.prefix)
	case "queue_order_strategy":
		err = oneOf(value, &o.order, "round_robin", "priority", "sorted")
	case "unacked_key":
		err = json.Unmarshal(value, &o.unackedKey)
	case "unacked_index_key":
		err = json.Unmarshal(value, &o.indexKey)
	case "unacked_mutex_key":
		err = json.Unmarshal(value, &o.mutexKey)
	case "unacked_mutex_expire":
		err = seconds(value, &o.mutexExpire)
	case "unacked_restore_limit":
		err = json.Unmarshal(value, &o.restoreLimit)
	case "unacked_restore_interval":
		err = json.Unmarshal(value, &o.restoreInterval)
	case "unacked_restore_throttle":
		err = json.Unmarshal(value, &o.restoreThrottle)
	case "socket_timeout":
		err = seconds(value, &o.socketTimeout)
	case "socket_connect_timeout":
		err = seconds(value, &o.connectTimeout)
	case "socket_keepalive":
		err = json.Unmarshal(value, &o.keepalive)
	case "client_name":
		err = json.Unmarshal(value, &o.clientName)
	case "master_name":
		err = json.Unmarshal(value, &o.masterName)
	case "ack_emulation":
		err = acks(value)
	case "sentinel_kwargs", "fanout_prefix", "fanout_patterns", "sentinel_fanout_compat":
		err = o.setOther(name, value)
	default:
		return false, nil
	}
	return true, err
}

// restoreEvery is how often kombu looks for what has been unacknowledged for too long: it is called
// each unacked_restore_interval, and acts every unacked_restore_throttle-th time.
func (o *options) restoreEvery() time.Duration {
	return max(time.Second, time.Duration(o.restoreInterval*float64(max(o.restoreThrottle, 1))*float64(time.Second)))
}

func seconds(value json.RawMessage, d *time.Duration) error {
	var s float64
	if err := json.Unmarshal(value, &s); err != nil {
		return err
	}
	if s <= 0 || s > 1e9 {
		return errors.New("wants a number of seconds above 0")
	}
	*d = time.Duration(s * float64(time.Second))
	return nil
}

func steps(value json.RawMessage, list *[]int) error {
	var s []int
	if err := json.Unmarshal(value, &s); err != nil {
		return err
	}
	if len(s) == 0 || !slices.IsSorted(s) || len(slices.Compact(slices.Clone(s))) != len(s) {
		return errors.New("wants ascending numbers")
	}
	*list = s
	return nil
}

func oneOf(value json.RawMessage, s *string, allowed ...string) error {
	if err := json.Unmarshal(value, s); err != nil {
		return err
	}
	if !slices.Contains(allowed, *s) {
		return fmt.Errorf("can be one of %q only; a class of its own is Python code", allowed)
	}
	return nil
}

func acks(value json.RawMessage) error {
	var on bool
	if err := json.Unmarshal(value, &on); err != nil {
		return err
	}
	if !on {
		return errors.New("cannot be switched off: nothing would be kept while it runs")
	}
	return nil
}

func (o *options) sentinel(value json.RawMessage) error {
	var kwargs map[string]json.RawMessage
	if err := json.Unmarshal(value, &kwargs); err != nil {
		return err
	}
	for name, v := range kwargs {
		var err error
		switch name {
		case "password":
			err = json.Unmarshal(v, &o.sentinelPw)
		case "username":
			err = json.Unmarshal(v, &o.sentinelUser)
		case "ssl":
			err = json.Unmarshal(v, &o.sentinelTLS)
		case "socket_timeout", "socket_connect_timeout", "socket_keepalive", "ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile":
			// The sentinels are asked with the timeouts and certificates of the server.
		default:
			err = fmt.Errorf("cannot honour %q", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *options) setOther(name string, value json.RawMessage) error {
	switch name {
	case "sentinel_kwargs":
		return o.sentinel(value)
	case "fanout_patterns":
		return truthy(value, &o.fanoutPatterns)
	case "sentinel_fanout_compat":
		return truthy(value, &o.sentinelCompat)
	}
	return o.setFanoutPrefix(value)
}

// setFanoutPrefix: True is kombu's, a text replaces it, anything falsy means none
// (Channel.__init__).
func (o *options) setFanoutPrefix(value json.RawMessage) error {
	var text string
	if json.Unmarshal(value, &text) == nil {
		o.fanoutPrefix = text
		return nil
	}
	on := true
	if err := truthy(value, &on); err != nil {
		return err
	}
	if !on {
		o.fanoutPrefix = ""
	}
	return nil
}

// truthy reads a flag as Python does where it only asks whether a value is true.
func truthy(value json.RawMessage, on *bool) error {
	switch string(bytes.TrimSpace(value)) {
	case "true":
		*on = true
	case "false", "0", `""`:
		*on = false
	default:
		var number float64
		if err := json.Unmarshal(value, &number); err != nil {
			return err
		}
		*on = number != 0
	}
	return nil
}
