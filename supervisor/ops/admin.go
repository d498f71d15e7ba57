package ops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// AdminOptions is what the socket offers. The functions are called from many
// goroutines and return at once: they only post an event to the loop.
type AdminOptions struct {
	State func(ctx context.Context) (State, error)
	Drain func()
	// Reload starts the next generation; nil: not offered.
	Reload func()
	// Listening, if set, is told once requests are answered.
	Listening func(path string)
}

// Admin is the control socket. The kernel tells who is on the other side, and
// only the same user and root are served.
type Admin struct {
	opts    AdminOptions
	handler http.Handler

	mu       sync.Mutex // guards the following
	listener net.Listener
	left     bool
}

// NewAdmin makes an Admin; Run opens it.
func NewAdmin(opts AdminOptions) *Admin {
	a := &Admin{opts: opts}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", StatePage(opts.State))
	mux.HandleFunc("POST /drain", post(opts.Drain, "draining"))
	if opts.Reload != nil {
		mux.HandleFunc("POST /reload", post(opts.Reload, "reloading"))
	}
	a.handler = onlyTrusted(mux)
	return a
}

// Run listens on the Unix socket at path and serves until ctx ends or Leave is called.
// The socket is removed at the end.
func (a *Admin) Run(ctx context.Context, path string) error {
	listener, err := a.listen(path)
	if err != nil {
		return fmt.Errorf("cannot open the admin socket: %w", err)
	}
	if listener == nil {
		return nil
	}
	if a.opts.Listening != nil {
		a.opts.Listening(path)
	}
	err = serve(ctx, &http.Server{Handler: a.handler, ConnContext: withPeer}, listener)
	if a.hasLeft() {
		return nil // it could not go on, and need not
	}
	return err
}

// listen opens the socket, unless we have left: then there is no listener.
func (a *Admin) listen(path string) (net.Listener, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left {
		return nil, nil
	}
	listener, err := listenPrivate(path)
	a.listener = listener
	return listener, err
}

func (a *Admin) hasLeft() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left
}

// Leave removes the socket, before it returns and however Run got on: for a process
// that ends and does not wait for Run. Nil and a second call are fine.
func (a *Admin) Leave() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = true
	if a.listener != nil {
		_ = a.listener.Close() // removes the file; an error means that it is closed
	}
}

func post(do func(), said string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		do()
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintln(w, said)
	}
}

type peerKey struct{}

// withPeer asks the kernel once per connection who is there.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return context.WithValue(ctx, peerKey{}, errors.New("not a Unix socket"))
	}
	uid, err := peerUID(unixConn)
	if err == nil {
		err = trusted(uid, os.Geteuid())
	}
	return context.WithValue(ctx, peerKey{}, err)
}

// trusted returns why a peer may not give orders to us.
func trusted(peer, own int) error {
	if peer == own || peer == 0 {
		return nil
	}
	return fmt.Errorf("uid %d may not control a worker of uid %d", peer, own)
}

func onlyTrusted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err, _ := r.Context().Value(peerKey{}).(error); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// listenPrivate makes the directory (0700) and the socket (0600). A socket that
// nobody answers on is a leftover of a killed process and is replaced.
func listenPrivate(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("%s is longer than the %d bytes that a socket path may have; choose a shorter one with --socket", path, maxSocketPath)
	}
	if err := privateDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if answers(path) {
		return nil, fmt.Errorf("%s is in use by another process", path)
	}
	if err := removeSocket(path); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// Between bind and chmod the directory and the peer check protect it.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// privateDir makes dir if it is missing. Our own directories have to be ours
// alone: in /tmp anybody could have made one with that name before us.
func privateDir(dir string) error {
	err := os.MkdirAll(filepath.Dir(dir), 0o755)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err == nil || !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if !ownName(dir) {
		return nil // given by --socket: the user's choice
	}
	if owner := ownerUID(info); owner != os.Geteuid() {
		return fmt.Errorf("%s belongs to uid %d and not to us", dir, owner)
	}
	return os.Chmod(dir, 0o700)
}

func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	return os.Remove(path)
}

func answers(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
