package ops

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"crisper/supervisor/ops"
)

// Options is what a Server shows. The functions are called from many goroutines.
type Options struct {
	Health   func() Health
	State    func(ctx context.Context) (State, error)
	Gatherer prometheus.Gatherer
}

// Server is the read-only HTTP door.
type Server struct {
	opts    Options
	handler http.Handler
}

// NewServer makes a Server; Run opens it.
func NewServer(opts Options) *Server {
	s := &Server{opts: opts}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.probe(func(h Health) (bool, string) { return h.Live(time.Now()) }))
	mux.HandleFunc("GET /readyz", s.probe(Health.Ready))
	mux.HandleFunc("GET /startupz", s.probe(Health.Startup))
	mux.HandleFunc("GET /state", ops.StatePage(opts.State))
	mux.Handle("GET /metrics", promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /{$}", ops.IndexPage("crisper beat"))
	s.handler = mux
	return s
}

// Handler returns the pages without a listener.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) probe(judge func(Health) (bool, string)) http.HandlerFunc {
	return ops.Probe(func() (bool, string) { return judge(s.opts.Health()) })
}

// Run listens on addr and serves until ctx ends. listening is told the address.
func (s *Server) Run(ctx context.Context, addr string, listening func(address string)) error {
	return ops.Serve(ctx, addr, s.handler, func(address net.Addr) { listening(address.String()) })
}
