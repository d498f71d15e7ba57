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
	// freshTimeout bounds how long a page waits for figures from the broker.
	freshTimeout = time.Second
	// shutdownTimeout is how long requests under way may take once we leave. The
	// pod waits for this, so it is short.
	shutdownTimeout = 250 * time.Millisecond
)

// Options is what a Server shows. All functions are called from many goroutines.
type Options struct {
	// Health returns the newest snapshot, without waiting.
	Health func() Health
	// State asks the loop.
	State func(ctx context.Context) (State, error)
	// Gatherer is what /metrics shows; nil: no such page.
	Gatherer prometheus.Gatherer
	// Fresh, if set, is called before /metrics and /state are answered: what is
	// measured only when somebody looks.
	Fresh func(ctx context.Context)
	// StuckAfter is the limit for Health.StuckSince; 0: DefaultStuckAfter.
	StuckAfter time.Duration
	// Listening, if set, is told the address once requests are answered (with
	// port 0 only the kernel knows it).
	Listening func(addr net.Addr)
	// Now is time.Now unless a test says otherwise.
	Now func() time.Time
}

// Server is the read-only HTTP door.
type Server struct {
	opts    Options
	handler http.Handler
}

// NewServer makes a Server; Run opens it.
func NewServer(opts Options) *Server {
	if opts.StuckAfter <= 0 {
		opts.StuckAfter = DefaultStuckAfter
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Server{opts: opts}
	s.handler = s.routes()
	return s
}

// Handler returns the pages without a listener.
func (s *Server) Handler() http.Handler { return s.handler }

// Run listens on addr and serves until ctx ends. It returns nil then, and an
// error when it cannot listen or serve.
func (s *Server) Run(ctx context.Context, addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot serve probes and metrics: %w", err)
	}
	if s.opts.Listening != nil {
		s.opts.Listening(listener.Addr())
	}
	return serve(ctx, &http.Server{Handler: s.handler}, listener)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/livez", s.probe(func(h Health) (bool, string) { return h.Live(s.opts.Now(), s.opts.StuckAfter) }))
	mux.HandleFunc("/readyz", s.probe(Health.Ready))
	mux.HandleFunc("/startupz", s.probe(Health.Startup))
	mux.Handle("/state", s.fresh(stateHandler(s.opts.State)))
	if s.opts.Gatherer != nil {
		mux.Handle("/metrics", s.fresh(promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{})))
	}
	mux.HandleFunc("/{$}", index)
	return readOnly(mux)
}

func (s *Server) fresh(next http.Handler) http.Handler {
	if s.opts.Fresh == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), freshTimeout)
		s.opts.Fresh(ctx)
		cancel()
		next.ServeHTTP(w, r)
	})
}

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

func index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprint(w, "crisper: /livez /readyz /startupz /metrics /state\n")
}

func stateHandler(state func(context.Context) (State, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), stateTimeout)
		defer cancel()
		snapshot, err := state(ctx)
		if err != nil {
			http.Error(w, fmt.Sprintf("cannot tell the state: %v", err), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(snapshot) // the reader left; there is nobody to tell
	}
}

func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "read only: control goes through the admin socket (crisper drain)", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve runs srv on listener until ctx ends, and returns when it has finished.
// The timeouts keep a slow or silent client from holding anything for long.
func serve(ctx context.Context, srv *http.Server, listener net.Listener) error {
	srv.ReadHeaderTimeout = 2 * time.Second
	srv.ReadTimeout = 5 * time.Second
	srv.WriteTimeout = 10 * time.Second
	srv.IdleTimeout = 60 * time.Second
	srv.MaxHeaderBytes = 16 << 10

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
