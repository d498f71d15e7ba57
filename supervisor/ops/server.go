package ops

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// freshTimeout bounds how long a page waits for figures from the broker.
const freshTimeout = time.Second

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
	return Serve(ctx, addr, s.handler, s.opts.Listening)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/livez", s.probe(func(h Health) (bool, string) { return h.Live(s.opts.Now(), s.opts.StuckAfter) }))
	mux.HandleFunc("/readyz", s.probe(Health.Ready))
	mux.HandleFunc("/startupz", s.probe(Health.Startup))
	mux.Handle("/state", s.fresh(StatePage(s.opts.State)))
	if s.opts.Gatherer != nil {
		mux.Handle("/metrics", s.fresh(promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{})))
	}
	mux.HandleFunc("/{$}", IndexPage("crisper"))
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
	return Probe(func() (bool, string) { return judge(s.opts.Health()) })
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
