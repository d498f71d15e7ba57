package amqpbroker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"crisper/broker"
)

// session is one made connection.
type session struct {
	server  string
	conn    *amqp.Connection
	raw     net.Conn
	blocked atomic.Pointer[string] // why the broker takes no messages; written by one goroutine
}

type silent struct{}

// Printf: amqp091 logs by itself what it also returns.
func (silent) Printf(string, ...any) {}

func init() { amqp.SetLogger(silent{}) } //nolint:gochecknoinits // the library's logger is one per process

// open connects and logs in, within the node's connect timeout and ctx.
func (s settings) open(ctx context.Context, i int) (*session, error) {
	n := s.nodes[i]
	ctx, cancel := context.WithTimeout(ctx, n.connectTimeout)
	defer cancel()
	begun := time.Now()
	raw, err := dial(ctx, n, s.tls[i])
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() }) // amqp091 knows no contexts
	conn, err := amqp.Open(raw, s.handshake(n))
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close() // already a failure
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no answer to the login: %w", ctx.Err())
		}
		return nil, silentClose(err, time.Since(begun))
	}
	made := &session{server: n.server(), conn: conn, raw: raw}
	go made.watch(conn.NotifyBlocked(make(chan amqp.Blocking, 4))) // alarms are rare; the reader never waits for long
	return made, nil
}

// silence is less than the three seconds that RabbitMQ waits before it closes, without
// a word, the connection of a client with a wrong password.
const silence = 2 * time.Second

// silentClose tells that apart from a broker that ends during the login: amqp091
// gives both the same error.
func silentClose(err error, after time.Duration) error {
	if (errors.Is(err, amqp.ErrCredentials) && after < silence) || errors.Is(err, amqp.ErrVhost) {
		return fmt.Errorf("%w: the connection was closed during the login", broker.ErrUnavailable)
	}
	return err
}

// dial makes a connection whose death the system notices within about ten seconds
// of silence.
func dial(ctx context.Context, n node, config *tls.Config) (net.Conn, error) {
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 4}}
	if config == nil {
		return dialer.DialContext(ctx, "tcp", n.address())
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", n.address())
}

func (s settings) handshake(n node) amqp.Config {
	var auth amqp.Authentication
	switch n.loginMethod {
	case "AMQPLAIN":
		auth = &amqp.AMQPlainAuth{Username: n.username, Password: n.password}
	case "EXTERNAL":
		auth = &amqp.ExternalAuth{}
	default:
		auth = &amqp.PlainAuth{Username: n.username, Password: n.password}
	}
	properties := amqp.Table{"product": "crisper", "platform": "Go"}
	if s.Name != "" {
		properties["connection_name"] = s.Name
	}
	for name, value := range s.options.properties {
		properties[name] = value
	}
	return amqp.Config{
		SASL: []amqp.Authentication{auth}, Vhost: n.vhost, Heartbeat: n.heartbeat, Locale: "en_US",
		ChannelMax: s.options.channelMax, FrameSize: s.options.frameMax, Properties: properties,
	}
}

// watch ends with the connection.
func (s *session) watch(events <-chan amqp.Blocking) {
	for b := range events {
		if b.Active {
			s.blocked.Store(&b.Reason)
		} else {
			s.blocked.Store(nil)
		}
	}
}

// drop closes a connection that cannot be trusted any more, without a word.
func (s *session) drop() { _ = s.raw.Close() }

// close says goodbye, if the broker listens.
func (s *session) close() error {
	return s.conn.CloseDeadline(time.Now().Add(time.Second))
}
