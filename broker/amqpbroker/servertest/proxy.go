package servertest

import (
	"context"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxy stands before a server and breaks connections (it is a beattest.Breakable).
type Proxy struct{ proxy *toxiproxy.Proxy }

// NewProxy ends with the test.
func NewProxy(t testing.TB, upstream string) *Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{toxiproxy.NewProxy(server, "p", "127.0.0.1:0", upstream)}
	if err := p.proxy.Start(); err != nil {
		t.Fatalf("cannot start the proxy: %v", err)
	}
	t.Cleanup(p.proxy.Stop)
	return p
}

// Addr is host:port; it stays the same.
func (p *Proxy) Addr() string { return p.proxy.Listen }

// LoseAnswers: requests pass, answers do not.
func (p *Proxy) LoseAnswers(t testing.TB) func() {
	p.add(t, `{"name":"down","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`)
	return func() { p.heal(t) }
}

// HalfOpen: connections stand, and no byte passes.
func (p *Proxy) HalfOpen(t testing.TB) func() {
	p.add(t, `{"name":"up","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`)
	return p.LoseAnswers(t)
}

// Cut: connections are closed, new ones refused.
func (p *Proxy) Cut(t testing.TB) func() {
	p.proxy.Stop()
	return func() { p.heal(t) }
}

// heal closes the connections that hung: their bytes are lost, as in real life.
func (p *Proxy) heal(t testing.TB) {
	t.Helper()
	p.proxy.Toxics.ResetToxics(context.Background())
	p.proxy.Stop()
	if err := p.proxy.Start(); err != nil {
		t.Fatalf("cannot restart the proxy: %v", err)
	}
}

func (p *Proxy) add(t testing.TB, toxic string) {
	t.Helper()
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		t.Fatalf("cannot break the connection: %v", err)
	}
}
