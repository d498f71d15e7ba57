package harness

import (
	"context"
	"fmt"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// Proxy stands between workers and Redis and breaks the connection on command.
type Proxy struct {
	proxy    *toxiproxy.Proxy
	password string
}

// StartProxy puts a proxy before a redis-server.
func (b *Bed) StartProxy(r *Redis) (*Proxy, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, "redis", "127.0.0.1:0", r.Addr())
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the proxy: %w", err)
	}
	b.OnClose(p.Stop)
	return &Proxy{proxy: p, password: r.password}, nil
}

// Addr is host:port.
func (p *Proxy) Addr() string { return p.proxy.Listen }

// URL of a database through the proxy.
func (p *Proxy) URL(db int) string { return redisURL(p.Addr(), p.password, db) }

// HalfOpen lets connections stand and no byte pass, in either direction: what a
// lost route looks like.
func (p *Proxy) HalfOpen() error {
	if err := p.add(`{"name":"hang-up","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`); err != nil {
		return err
	}
	return p.add(`{"name":"hang-down","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`)
}

// Slow delays every byte.
func (p *Proxy) Slow(d time.Duration) error {
	return p.add(fmt.Sprintf(`{"name":"slow","type":"latency","stream":"downstream","attributes":{"latency":%d}}`, d.Milliseconds()))
}

// Cut closes all connections and refuses new ones until Heal.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Heal undoes everything. Connections that hung are closed: their bytes are lost,
// as they are in real life.
func (p *Proxy) Heal(ctx context.Context) error {
	p.proxy.Toxics.ResetToxics(ctx)
	p.proxy.Stop()
	if err := p.proxy.Start(); err != nil {
		return fmt.Errorf("cannot restart the proxy: %w", err)
	}
	return nil
}

func (p *Proxy) add(toxic string) error {
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		return fmt.Errorf("cannot break the connection: %w", err)
	}
	return nil
}

// Through is a client of this server that goes through the proxy.
func (r *Redis) Through(p *Proxy) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: p.Addr(), Password: r.password, MaxRetries: -1, ContextTimeoutEnabled: true})
}
