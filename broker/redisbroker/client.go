package redisbroker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"crisper/broker"
)

// Limits of single requests. A request that is not answered in time ends the
// connection: the answer, when it came, could be taken for another's.
const (
	callTimeout  = 5 * time.Second // unless socket_timeout says less
	blockTimeout = time.Minute
)

// session is one made connection: a pool for requests and one for waiting.
type session struct {
	server   string
	db       int
	requests *redis.Client
	waits    *redis.Client
	done     context.Context // ends with the session
	end      context.CancelFunc
	failed   chan error // capacity 1: the first failure ends the session, others add nothing
	// What is listened to, by channel; nil without remote control.
	subscriptions *redis.PubSub
	incoming      <-chan *redis.Message
	listeners     map[string]listener
}

func (s *session) close() {
	s.end()
	if s.subscriptions != nil {
		_ = s.subscriptions.Close()
	}
	// Closing only fails for connections that are closed already.
	_ = s.requests.Close()
	_ = s.waits.Close()
}

// fail reports that the connection can no longer be trusted.
func (s *session) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// spareWaits bounds the connections for queues that are added later, for
// subscriptions and for replies.
const spareWaits = 256

type silent struct{}

// Printf: go-redis logs by itself what it also returns.
func (silent) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(silent{}) } //nolint:gochecknoinits // the library's logger is one per process

// open makes clients for a node; nothing is connected yet, except to a sentinel.
func (c *Consumer) open(ctx context.Context, i int) (*session, error) {
	n := c.cfg.nodes[i]
	if n.sentinels != nil {
		address, err := c.askSentinels(ctx, i)
		if err != nil {
			return nil, err
		}
		n.address = address
	}
	o := c.clientOptions(i, n)
	waits := *o
	// Blocking reads outlive every deadline of ours; the presence finds dead connections.
	waits.PoolSize = len(c.set.Load().lists) + spareWaits
	waits.Dialer = c.waitDialer(waits.TLSConfig)
	s := &session{server: c.cfg.nodes[i].server(), db: n.db, requests: redis.NewClient(o), waits: redis.NewClient(&waits), failed: make(chan error, 1)}
	s.done, s.end = context.WithCancel(context.Background())
	return s, nil
}

func (c *Consumer) clientOptions(i int, n node) *redis.Options {
	o := c.cfg.options
	timeout := callTimeout
	if o.socketTimeout > 0 {
		timeout = min(timeout, o.socketTimeout)
	}
	dialer := &net.Dialer{Timeout: c.cfg.ConnectTimeout, KeepAlive: -1}
	if o.keepalive {
		dialer.KeepAlive = 0 // the system's timings
	}
	options := &redis.Options{
		Network: n.network, Addr: n.address, Username: n.username, Password: n.password, DB: n.db,
		ClientName: o.clientName, Protocol: 2, DisableIdentity: true,
		// A script whose reply was lost may have been carried out: never sent twice.
		MaxRetries: -1, DialerRetries: 1,
		DialTimeout: c.cfg.ConnectTimeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		ContextTimeoutEnabled: true, PoolSize: 8, ConnMaxIdleTime: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if tlsConfig := c.cfg.tls[i]; tlsConfig != nil {
		tlsConfig = tlsConfig.Clone()
		if tlsConfig.ServerName == "" {
			tlsConfig.ServerName, _, _ = net.SplitHostPort(n.address)
		}
		options.TLSConfig = tlsConfig
	} else {
		options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			return hasten(dialer.DialContext(ctx, network, address))
		}
	}
	return options
}

// waitDialer makes connections whose death the kernel notices within half a
// minute: nothing is said on them for longer than that.
func (c *Consumer) waitDialer(config *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: c.cfg.ConnectTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	if config != nil {
		return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext
	}
	return dialer.DialContext
}

// askSentinels returns the address of the master. It is asked anew for each
// connection, so that a failover is followed.
func (c *Consumer) askSentinels(ctx context.Context, i int) (string, error) {
	n := c.cfg.nodes[i]
	var errs []error
	for _, sentinel := range n.sentinels {
		asked := n
		asked.address, asked.db = sentinel, 0
		asked.username, asked.password = c.cfg.options.sentinelUser, c.cfg.options.sentinelPw
		o := c.clientOptions(i, asked)
		if !c.cfg.options.sentinelTLS {
			o.TLSConfig = nil
		}
		client := redis.NewSentinelClient(o)
		address, err := client.GetMasterAddrByName(ctx, c.cfg.options.masterName).Result()
		_ = client.Close()
		if err == nil && len(address) == 2 {
			return net.JoinHostPort(address[0], address[1]), nil
		}
		if errors.Is(err, redis.Nil) {
			err = fmt.Errorf("knows no master %q", c.cfg.options.masterName)
		}
		errs = append(errs, fmt.Errorf("sentinel %s: %w", sentinel, err))
	}
	return "", fmt.Errorf("%w: %w", broker.ErrUnavailable, errors.Join(errs...))
}

// checkVersion refuses servers that lack RPOP with a count, BLMOVE and ZMSCORE.
// Whoever may not ask, or speaks another dialect, is believed.
func checkVersion(info string) error {
	_, rest, ok := strings.Cut(info, "redis_version:")
	if !ok {
		return nil
	}
	parts := strings.SplitN(strings.TrimSpace(rest), ".", 3)
	if len(parts) < 2 {
		return nil
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil || major > 6 || (major == 6 && minor >= 2) {
		return nil
	}
	return fmt.Errorf("%w: Redis %d.%d is too old, 6.2 is needed", broker.ErrRefused, major, minor)
}
