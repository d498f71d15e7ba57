package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// What all read-only doors have in common, the beat's included.

const (
	// stateTimeout bounds how long /state waits for the loop.
	stateTimeout = 2 * time.Second
	// shutdownTimeout is how long requests under way may take once we leave. The
	// pod waits for this, so it is short.
	shutdownTimeout = 250 * time.Millisecond
)

// Probe answers 200 or 503, and why.
func Probe(judge func() (ok bool, why string)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		ok, why := judge()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, why)
	}
}

// StatePage asks the loop and answers in JSON.
func StatePage[S any](state func(context.Context) (S, error)) http.HandlerFunc {
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

// IndexPage names the pages that there are.
func IndexPage(program string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "%s: /livez /readyz /startupz /metrics /state\n", program)
	}
}

// Serve listens on addr and serves until ctx ends. It returns nil then, and an error
// when it cannot listen or serve. listening, unless nil, is told the address.
func Serve(ctx context.Context, addr string, handler http.Handler, listening func(net.Addr)) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot serve probes and metrics: %w", err)
	}
	if listening != nil {
		listening(listener.Addr())
	}
	return serve(ctx, &http.Server{Handler: handler}, listener)
}

// serve runs srv on listener until ctx ends, and returns when it has finished.
// The timeouts keep a slow or silent client from holding anything for long.
func serve(ctx context.Context, srv *http.Server, listener net.Listener) error {
	srv.ReadHeaderTimeout = 2 * time.Second
	srv.ReadTimeout = 5 * time.Second
	srv.WriteTimeout = 10 * time.Second
	srv.IdleTimeout = time.Minute
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
