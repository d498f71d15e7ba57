package redisbroker

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"crisper/broker"
	"crisper/broker/internal/endpoint"
)

// Access opens plain clients to the broker's servers and knows kombu's layout, for
// packages that publish by scripts of their own (beat/redisbeat). It shows no
// presence, takes nothing and settles nothing.
type Access struct {
	c          *Consumer
	fanout     string // prefix of the channels; {db} stands for the database
	patterns   bool   // the routing key is part of a channel
	compat     bool   // publish on the channel of old Sentinel clients, too
	deadLetter string // kombu's deadletter_queue
}

// NewAccess reads the same Config as New; WorkerID and Queues are not needed.
func NewAccess(cfg Config) (*Access, error) {
	cfg.WorkerID, cfg.Queues, cfg.Presence = "access", nil, 0
	s, err := cfg.understand()
	if err != nil {
		return nil, err
	}
	a := &Access{c: &Consumer{cfg: s}, fanout: "/{db}.", patterns: true}
	if err := a.routing(cfg.TransportOptions); err != nil {
		return nil, fmt.Errorf("cannot use the Redis broker's settings: broker_transport_options: %w", err)
	}
	return a, nil
}

// routing reads the options that only publishers need.
func (a *Access) routing(raw map[string]json.RawMessage) error {
	read := func(name string, into any) error {
		value, given := raw[name]
		if !given || string(value) == "null" {
			return nil
		}
		if err := json.Unmarshal(value, into); err != nil {
			return fmt.Errorf("%s: %s", name, endpoint.Unquoted(err))
		}
		return nil
	}
	var on bool
	if err := read("fanout_prefix", &on); err == nil {
		if _, given := raw["fanout_prefix"]; given && !on {
			a.fanout = ""
		}
	} else if err := read("fanout_prefix", &a.fanout); err != nil {
		return err
	}
	if err := read("fanout_patterns", &a.patterns); err != nil {
		return err
	}
	if err := read("sentinel_fanout_compat", &a.compat); err != nil {
		return err
	}
	return read("deadletter_queue", &a.deadLetter)
}

// Nodes is the number of servers to try, in failover order.
func (a *Access) Nodes() int { return len(a.c.cfg.nodes) }

// Server names a node for people, without password.
func (a *Access) Server(node int) string { return a.c.cfg.nodes[node].server() }

// Open makes a client of a node. Nothing is connected yet, except to a sentinel.
// A request without an answer within timeout fails; none is sent twice by itself.
func (a *Access) Open(ctx context.Context, node int, timeout time.Duration) (*redis.Client, error) {
	n := a.c.cfg.nodes[node]
	if n.sentinels != nil {
		address, err := a.c.askSentinels(ctx, node)
		if err != nil {
			return nil, err
		}
		n.address = address
	}
	o := a.c.clientOptions(node, n)
	o.ReadTimeout, o.WriteTimeout = min(o.ReadTimeout, timeout), min(o.WriteTimeout, timeout)
	o.PoolTimeout = o.ReadTimeout
	o.Dialer = alert(o.DialTimeout, o.TLSConfig)
	return redis.NewClient(o), nil
}

// alert dials connections whose death the system notices within about ten seconds
// of silence, so that an idle client does not learn of it by its next request.
func alert(timeout time.Duration, config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: timeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 4}}
	if config == nil {
		return dialer.DialContext
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext
}

// Key is a key with global_keyprefix.
func (a *Access) Key(name string) string { return a.c.cfg.keys.prefix + name }

// List is the key of a queue's messages of one priority.
func (a *Access) List(queue string, priority int) string { return a.c.cfg.keys.list(queue, priority) }

// Lists are the keys of a queue's messages of all priorities.
func (a *Access) Lists(queue string) []string { return a.c.cfg.keys.lists([]string{queue}) }

// Channels are what kombu publishes a fanout exchange's message on.
func (a *Access) Channels(node int, exchange, routingKey string) []string {
	tail := exchange
	if routingKey != "" && a.patterns {
		tail += "/" + routingKey
	}
	n := a.c.cfg.nodes[node]
	prefix := strings.ReplaceAll(a.fanout, "{db}", strconv.Itoa(n.db))
	channels := []string{a.Key(prefix + tail)}
	// Celery: before kombu 5.4 Sentinel clients left the braces as they are.
	if n.sentinels != nil && a.compat && prefix != a.fanout {
		channels = append(channels, a.Key(a.fanout+tail))
	}
	return channels
}

// Bindings is the key of an exchange's bindings, a set whose members Match reads.
func (a *Access) Bindings(exchange string) string { return a.c.cfg.keys.bindings(exchange) }

// PermanentBindings is the key of those of its bindings that have no deadline.
func (a *Access) PermanentBindings(exchange string) string {
	return a.c.cfg.keys.permanentBindings(exchange)
}

// BindingDeadlines is the key of the deadlines of all others.
func (a *Access) BindingDeadlines() string { return a.Key("_kombu.binding_deadlines") }

// Binding is the member that kombu writes for a queue.
func (a *Access) Binding(q broker.Queue) string {
	sep := a.c.cfg.options.sep
	return q.RoutingKey + sep + bindingPattern(q) + sep + q.Name
}

// Match names the queues that a message reaches, given an exchange's bindings
// (kombu/transport/virtual/exchange.py).
func (a *Access) Match(exchangeType, routingKey string, bindings []string) []string {
	var queues []string
	seen := map[string]bool{}
	for _, member := range bindings {
		parts := strings.Split(member, a.c.cfg.options.sep)
		if len(parts) != 3 || seen[parts[2]] || !reaches(exchangeType, parts[0], parts[1], routingKey) {
			continue
		}
		seen[parts[2]] = true
		queues = append(queues, parts[2])
	}
	if exchangeType == "topic" { // it is matched, but nothing is delivered there
		kept := queues[:0]
		for _, q := range queues {
			if q != "" && q != a.deadLetter {
				kept = append(kept, q)
			}
		}
		return kept
	}
	if len(queues) == 0 && a.deadLetter != "" {
		return []string{a.deadLetter}
	}
	return queues
}

func reaches(exchangeType, key, pattern, routingKey string) bool {
	if exchangeType != "topic" {
		return key == routingKey
	}
	re, err := regexp.Compile(asciiEscapes(pattern))
	return err == nil && re.MatchString(routingKey)
}

// asciiEscapes drops the backslash before what only Python lets be escaped.
func asciiEscapes(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' && i+1 < len(pattern) {
			if pattern[i+1] < utf8.RuneSelf {
				b.WriteByte(pattern[i])
			}
			i++
		}
		b.WriteByte(pattern[i])
	}
	return b.String()
}

// Classify gives an error of a request one of broker's two faces.
func (a *Access) Classify(err error) error { return classify(err) }
