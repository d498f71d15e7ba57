package redisbroker

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/broker/internal/endpoint"
)

// Config is what New needs. URLs hold passwords; they appear in no error and no log.
type Config struct {
	// URLs in failover order; each may be a ;-list.
	URLs []string
	// FailoverStrategy is "round-robin" (default) or "shuffle".
	FailoverStrategy string
	// TransportOptions is broker_transport_options, UseSSL is broker_use_ssl.
	TransportOptions map[string]json.RawMessage
	UseSSL           json.RawMessage
	// Queues to consume, in the order of the command line.
	Queues []broker.Queue
	// WorkerID names this process among all that ever were: it must never be used
	// again by another. Hostname is the node name, for the server's client list.
	WorkerID, Hostname string
	// ConnectTimeout is broker_connection_timeout.
	ConnectTimeout time.Duration
	Retry          broker.Retry
	// Presence is how long after our last sign of life peers restore what we hold.
	Presence time.Duration
	// DeadLetter is the key of the list of parked messages.
	DeadLetter string
	Log        *zap.Logger
}

// Defaults are Celery's, and ours where it has none.
func Defaults() Config {
	return Config{
		FailoverStrategy: "round-robin",
		ConnectTimeout:   4 * time.Second,
		Retry:            broker.DefaultRetry(),
		Presence:         6 * time.Second,
		DeadLetter:       "crisper.dead_letter",
		Log:              zap.NewNop(),
	}
}

// settings is a Config that has been understood.
type settings struct {
	Config
	options options
	nodes   []node
	tls     []*tls.Config // of each node
	keys    layout
	queues  []string
}

// understand fills what is not set and reports everything that is wrong.
func (c Config) understand() (settings, error) {
	d := Defaults()
	if c.Log == nil {
		c.Log = d.Log
	}
	if c.Presence == 0 {
		c.Presence = d.Presence
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = d.ConnectTimeout
	}
	s := settings{Config: c}
	var errs []error
	var warnings []string
	var err error
	s.options, warnings, err = parseOptions(c.TransportOptions)
	errs = append(errs, err)
	s.nodes, err = parseURLs(c.URLs)
	errs = append(errs, err, s.secure(&warnings), s.check())
	if s.options.connectTimeout > 0 {
		s.ConnectTimeout = s.options.connectTimeout
	}
	s.keys = newLayout(s.options, c.DeadLetter)
	for _, q := range c.Queues {
		s.queues = append(s.queues, q.Name)
	}
	if c.FailoverStrategy == "shuffle" {
		rand.Shuffle(len(s.nodes), func(i, j int) {
			s.nodes[i], s.nodes[j] = s.nodes[j], s.nodes[i]
			s.tls[i], s.tls[j] = s.tls[j], s.tls[i]
		})
	}
	if err := errors.Join(errs...); err != nil {
		return settings{}, fmt.Errorf("cannot use the Redis broker's settings: %w", err)
	}
	for _, w := range warnings {
		c.Log.Warn("redis broker: " + w)
	}
	return s, nil
}

func (s *settings) secure(warnings *[]string) error {
	var errs []error
	s.tls = make([]*tls.Config, len(s.nodes))
	for i, n := range s.nodes {
		if n.network == "unix" {
			continue
		}
		c, err := tlsConfig(n, s.UseSSL, func(w string) { *warnings = append(*warnings, w) })
		errs = append(errs, err)
		if c != nil && n.sentinels == nil {
			c.ServerName, _, _ = net.SplitHostPort(n.address)
		}
		s.tls[i] = c
		s.nodes[i].tls = c != nil
	}
	return errors.Join(errs...)
}

func (s *settings) check() error {
	errs := []error{endpoint.Failover(s.FailoverStrategy)}
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	sentinel := false
	for _, n := range s.nodes {
		sentinel = sentinel || n.sentinels != nil
	}
	bad(sentinel && s.options.masterName == "", "broker_transport_options: master_name must be given for sentinel://")
	bad(s.WorkerID == "", "no worker id")
	bad(strings.ContainsAny(s.WorkerID, "+!="), "the worker id may not contain +, ! or =")
	bad(s.Presence < 300*time.Millisecond, "presence: %s is too short", s.Presence)
	bad(s.ConnectTimeout <= 0, "connect timeout: %s is not above 0", s.ConnectTimeout)
	seen := map[string]bool{}
	for _, q := range s.Queues {
		bad(q.Name == "", "a queue has no name")
		bad(seen[q.Name], "queue %q is given twice", q.Name)
		seen[q.Name] = true
		bad(q.ExchangeType == "fanout", "queue %q is bound to a fanout exchange, which on Redis is not a queue at all; run this app with --runtime=celery", q.Name)
	}
	return errors.Join(errs...)
}
