package main

import (
	"context"
	"fmt"
	"strings"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"crisper/integration/harness"
)

// proxy is one replica's way to a server.
type proxy struct{ way *toxiproxy.Proxy }

func newProxy(bed *harness.Bed, upstream string) (*proxy, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	way := toxiproxy.NewProxy(server, "way", "127.0.0.1:0", upstream)
	if err := way.Start(); err != nil {
		return nil, fmt.Errorf("cannot start a proxy: %w", err)
	}
	bed.OnClose(way.Stop)
	return &proxy{way}, nil
}

// hang lets connections stand and no byte pass: a lost route.
func (p *proxy) hang() error {
	for _, stream := range []string{"upstream", "downstream"} {
		toxic := `{"name":"` + stream + `","type":"timeout","stream":"` + stream + `","attributes":{"timeout":0}}`
		if _, err := p.way.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			return fmt.Errorf("cannot break the connection: %w", err)
		}
	}
	return nil
}

// cut closes connections and refuses new ones.
func (p *proxy) cut() { p.way.Stop() }

// heal undoes both. What hung is closed; its bytes are lost.
func (p *proxy) heal(ctx context.Context) error {
	p.way.Toxics.ResetToxics(ctx)
	p.way.Stop()
	if err := p.way.Start(); err != nil {
		return fmt.Errorf("cannot restart the proxy: %w", err)
	}
	return nil
}
