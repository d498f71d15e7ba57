package amqpbroker

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
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
	// LoginMethod is broker_login_method: PLAIN (default), AMQPLAIN, EXTERNAL.
	LoginMethod string
	// Heartbeat is broker_heartbeat; 0 leaves it to the server.
	Heartbeat time.Duration
	// ConnectTimeout is broker_connection_timeout.
	ConnectTimeout time.Duration
	// ConfirmTimeout bounds the wait for the broker's confirms of one batch, and for the
	// answer to a declaration.
	ConfirmTimeout time.Duration
	// Name is shown in the broker's list of connections.
	Name  string
	Retry broker.Retry
	Log   *zap.Logger
}

// Defaults are Celery's, and ours where it has none.
func Defaults() Config {
	return Config{
		FailoverStrategy: "round-robin",
		LoginMethod:      "PLAIN",
		Heartbeat:        120 * time.Second,
		ConnectTimeout:   4 * time.Second,
		ConfirmTimeout:   10 * time.Second,
		Retry:            broker.DefaultRetry(),
		Log:              zap.NewNop(),
	}
}

// settings is a Config that has been understood.
type settings struct {
	Config
	options options
	nodes   []node
	tls     []*tls.Config // of each node; nil: no TLS
}

// understand fills what is not set and reports everything that is wrong.
func (c Config) understand() (settings, error) {
	d := Defaults()
	if c.Log == nil {
		c.Log = d.Log
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = d.ConnectTimeout
	}
	if c.ConfirmTimeout == 0 {
		c.ConfirmTimeout = d.ConfirmTimeout
	}
	s := settings{Config: c}
	var errs []error
	var warnings []string
	var err error
	s.options, warnings, err = parseOptions(c.TransportOptions)
	errs = append(errs, err)
	s.apply()
	s.nodes, err = parseURLs(c.URLs, s.Config)
	errs = append(errs, err, s.secure(&warnings), s.check())
	if c.FailoverStrategy == "shuffle" {
		rand.Shuffle(len(s.nodes), func(i, j int) {
			s.nodes[i], s.nodes[j] = s.nodes[j], s.nodes[i]
			s.tls[i], s.tls[j] = s.tls[j], s.tls[i]
		})
	}
	if err := errors.Join(errs...); err != nil {
		return settings{}, fmt.Errorf("cannot use the AMQP broker's settings: %w", err)
	}
	for _, w := range warnings {
		c.Log.Warn("amqp broker: " + w)
	}
	return s, nil
}

// apply lets the transport options win over the settings, as pyamqp does.
func (s *settings) apply() {
	o := s.options
	if o.connectTimeout > 0 {
		s.ConnectTimeout = o.connectTimeout
	}
	if o.heartbeat != nil {
		s.Heartbeat = *o.heartbeat
	}
	if o.loginMethod != "" {
		s.LoginMethod = o.loginMethod
	}
}

func (s *settings) secure(warnings *[]string) error {
	var errs []error
	s.tls = make([]*tls.Config, len(s.nodes))
	for i := range s.nodes {
		c, err := tlsConfig(s.nodes[i], s.UseSSL, func(w string) { *warnings = append(*warnings, w) })
		errs = append(errs, err)
		s.tls[i] = c
		s.nodes[i].complete(c != nil)
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
	for _, n := range s.nodes {
		switch n.loginMethod {
		case "", "PLAIN", "AMQPLAIN", "EXTERNAL":
		default:
			bad(true, "login method %q cannot be used; PLAIN, AMQPLAIN and EXTERNAL can", n.loginMethod)
		}
	}
	bad(s.ConnectTimeout <= 0, "connect timeout: %s is not above 0", s.ConnectTimeout)
	bad(s.ConfirmTimeout <= 0, "confirm timeout: %s is not above 0", s.ConfirmTimeout)
	bad(s.Heartbeat < 0, "broker_heartbeat: %s is below 0", s.Heartbeat)
	return errors.Join(errs...)
}
