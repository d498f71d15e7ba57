package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// stateTimeout bounds how long /state waits for the loop.
	stateTimeout = 2 * time.Second
	// shutdownTimeout is how long requests under way may take once we leave.
	shutdownTimeout = 100 * time.Millisecond
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
	mux.HandleFunc("GET /state", s.state)
	mux.Handle("GET /metrics", promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "crisper beat: /livez /readyz /startupz /metrics /state\n")
	})
	s.handler = mux
	return s
}

// Handler returns the pages without a listener.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) probe(judge func(Health) (bool, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		ok, why := judge(s.opts.Health())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, why)
	}
}

func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), stateTimeout)
	defer cancel()
	state, err := s.opts.State(ctx)
	if err != nil {
		http.Error(w, fmt.Sprintf("cannot tell the state: %v", err), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(state) // the reader left; there is nobody to tell
}

// Run listens on addr and serves until ctx ends. listening is told the address.
func (s *Server) Run(ctx context.Context, addr string, listening func(address string)) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot serve probes and metrics: %w", err)
	}
	listening(listener.Addr().String())
	// A slow or silent client does not hold anything for long.
	srv := &http.Server{Handler: s.handler, ReadHeaderTimeout: 2 * time.Second, ReadTimeout: 5 * time.Second,
		WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	served := make(chan error, 1) // one result, also when nobody waits for it any more
	go func() { served <- srv.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("cannot go on serving on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	deadline, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if srv.Shutdown(deadline) != nil {
		_ = srv.Close() // requests that are still open are cut; they only read
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot end serving on %s: %w", listener.Addr(), err)
	}
	return nil
}
