package redisbeat

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"crisper/beat"
	"crisper/broker"
	"crisper/broker/redisbroker"
)

var (
	//go:embed lua/publish.lua
	publishText string
	//go:embed lua/register.lua
	registerText string
	//go:embed lua/forget.lua
	forgetText string
	//go:embed lua/bind.lua
	bindText string
)

var (
	publishScript  = redis.NewScript(strings.TrimSpace(publishText))
	registerScript = redis.NewScript(strings.TrimSpace(registerText))
	forgetScript   = redis.NewScript(strings.TrimSpace(forgetText))
	bindScript     = redis.NewScript(strings.TrimSpace(bindText))
)

// Config is what New needs.
type Config struct {
	// Broker is the app's broker: URLs, options, TLS, as for consuming.
	Broker redisbroker.Config
	// Schedule names the schedule among all on this broker.
	Schedule string
	// CallTimeout bounds each request; a tick is late by at most this when a
	// connection has died unnoticed. Default 3 s.
	CallTimeout time.Duration
	Log         *zap.Logger
}

// Publisher implements beat.Publisher. One goroutine uses it.
type Publisher struct {
	cfg    Config
	access *redisbroker.Access
	token  string // keys
	record string

	node     int
	refusals int           // in a row, over the nodes
	client   *redis.Client // nil when there is no connection
	declared map[string]bool
	expires  map[string]string // lifetime in ms of declared queues that expire
	term     uint64            // of the newest Register
	doubt    map[tickKey]bool  // ticks of requests of this term that have not been answered
}

var _ beat.Publisher = (*Publisher)(nil)

// New connects to nothing yet.
func New(cfg Config) (*Publisher, error) {
	if cfg.Schedule == "" {
		return nil, errors.New("cannot publish ticks: the schedule has no name")
	}
	if cfg.CallTimeout <= 0 {
		cfg.CallTimeout = 3 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	access, err := redisbroker.NewAccess(cfg.Broker)
	if err != nil {
		return nil, err
	}
	return &Publisher{
		cfg: cfg, access: access,
		token: access.Key("crisper.beat.token." + cfg.Schedule), record: access.Key("crisper.beat.records." + cfg.Schedule),
		declared: map[string]bool{}, expires: map[string]string{}, doubt: map[tickKey]bool{},
	}, nil
}

// Server names the server in use, without password.
func (p *Publisher) Server() string { return p.access.Server(p.node) }

// Close implements beat.Publisher.
func (p *Publisher) Close() error {
	if p.client == nil {
		return nil
	}
	err := p.client.Close()
	p.client = nil
	return err
}

// call runs one exchange with the server, within CallTimeout and ctx. After a
// failure in which the answer may be on its way still, the connection is closed.
func (p *Publisher) call(ctx context.Context, do func(ctx context.Context, c *redis.Client) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", beat.ErrUnavailable, err)
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.CallTimeout)
	defer cancel()
	if p.client == nil {
		client, err := p.access.Open(ctx, p.node, p.cfg.CallTimeout)
		if err != nil {
			return p.failed(ctx, err)
		}
		p.client = client
	}
	client := p.client
	// go-redis heeds deadlines but not cancellation. Closing only fails if it is closed.
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	err := do(ctx, client)
	stop()
	if err != nil {
		return p.failed(ctx, err)
	}
	p.refusals = 0
	return nil
}

// failed drops the connection and says which kind of failure it was.
func (p *Publisher) failed(ctx context.Context, err error) error {
	var fenced *beat.Fenced
	if errors.As(err, &fenced) {
		return fenced
	}
	server := p.Server()
	_ = p.Close() // a failure is being reported already
	clear(p.declared)
	p.node = (p.node + 1) % p.access.Nodes()
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("cannot ask %s: %w: %w", server, beat.ErrUnavailable, ended)
	}
	err = p.access.Classify(err)
	switch {
	case errors.Is(err, broker.ErrRefused):
		// Another URL of the list may have the right password.
		if p.refusals++; p.refusals < p.access.Nodes() {
			return fmt.Errorf("cannot ask %s: %w: %v", server, beat.ErrUnavailable, err)
		}
		return fmt.Errorf("cannot ask %s: %w", server, err)
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, context.Canceled):
		return fmt.Errorf("cannot ask %s: %w: %v", server, beat.ErrUnavailable, err)
	}
	return fmt.Errorf("cannot ask %s: %w", server, err)
}

// eval runs a script and reads its answer.
func eval(ctx context.Context, c *redis.Client, s *redis.Script, keys []string, args []any) ([]string, error) {
	answer, err := s.Run(ctx, c, keys, args...).StringSlice()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	if len(answer) == 2 && answer[0] == "fenced" {
		var stored uint64
		if _, err := fmt.Sscan(answer[1], &stored); err != nil {
			return nil, fmt.Errorf("the stored token %q is no number", answer[1])
		}
		return nil, &beat.Fenced{Stored: stored}
	}
	return answer, nil
}
