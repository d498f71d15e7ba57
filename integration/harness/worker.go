package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"crisper/supervisor/ops"
)

// App is what workers and clients share: the app, its broker and its backend.
type App struct {
	Name    string // of the module; default "sample"
	Broker  string
	Backend string // empty: no results
	// Conf and Transport are the app's settings and broker_transport_options.
	Conf, Transport map[string]any
	Env             []string // more variables
}

// Env is what a worker or client of this app needs in its environment.
func (b *Bed) Env(a App) []string {
	env := []string{
		"PYTHONPATH=" + filepath.Join(b.Root, "integration", "sample"),
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1",
		"CELERY_BROKER_URL=" + a.Broker,
		"SAMPLE_JOURNAL=" + b.Journal.Path,
	}
	if a.Backend != "" {
		env = append(env, "CELERY_RESULT_BACKEND="+a.Backend)
	}
	for name, value := range map[string]map[string]any{"SAMPLE_CONF": a.Conf, "SAMPLE_TRANSPORT_OPTIONS": a.Transport} {
		if value != nil {
			text, err := json.Marshal(value)
			if err != nil {
				panic(fmt.Sprintf("the settings of a test have no JSON: %v", err))
			}
			env = append(env, name+"="+string(text))
		}
	}
	return append(env, a.Env...)
}

func (a App) module() string { return orElse(a.Name, "sample") }

// Worker is a running worker of either kind.
type Worker struct {
	*Process
	// HTTP is the address of Crisper's probes; empty for a stock worker.
	HTTP string
	// Socket is Crisper's admin socket.
	Socket string
}

// StartCrisper starts `crisper worker -A app args…`.
func (b *Bed) StartCrisper(a App, args ...string) (*Worker, error) {
	return b.StartCrisperIn(nil, a, args...)
}

// StartCrisperIn does the same inside a memory cgroup.
func (b *Bed) StartCrisperIn(group *Cgroup, a App, args ...string) (*Worker, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	w := &Worker{HTTP: "127.0.0.1:" + strconv.Itoa(port), Socket: b.shortPath("crisper.sock")}
	line := []string{b.Binary, "worker", "-A", a.module(), "--python", b.Python,
		"--http", w.HTTP, "--socket", w.Socket, "--log-format", "json", "--loglevel", "INFO"}
	w.Process, err = b.Start(Command{Name: "crisper", Args: append(line, args...), Env: b.Env(a), Cgroup: group})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// StartStock starts `celery -A app worker --pool prefork args…` of the same Celery.
func (b *Bed) StartStock(a App, args ...string) (*Worker, error) {
	celery := filepath.Join(filepath.Dir(b.Python), "celery")
	line := []string{celery, "-A", a.module(), "worker", "--pool", "prefork", "--loglevel", "INFO",
		"--hostname", "stock" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(b.count()) + "@%h"}
	p, err := b.Start(Command{Name: "celery", Args: append(line, args...), Env: b.Env(a)})
	if err != nil {
		return nil, err
	}
	return &Worker{Process: p}, nil
}

func (b *Bed) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names[" stock"]++
	return b.names[" stock"]
}

// shortPath is for Unix sockets, whose names may not be long.
func (b *Bed) shortPath(name string) string {
	dir, err := os.MkdirTemp("", "crisper-bed-")
	if err != nil {
		panic(fmt.Sprintf("cannot create a directory for a socket: %v", err))
	}
	b.OnClose(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, name)
}

// WaitReady waits until the worker takes tasks: /readyz of Crisper, the "ready."
// line of Celery.
func (w *Worker) WaitReady(ctx context.Context) error {
	if w.HTTP == "" {
		_, err := w.WaitLog(ctx, `celery@?.* ready\.|stock\S+ ready\.`)
		return err
	}
	var dead bool
	err := Until(ctx, "/readyz of "+w.Name, func() bool {
		select {
		case <-w.Done():
			dead = true
		default:
		}
		code, _, err := w.Get(ctx, "/readyz")
		return dead || err == nil && code == http.StatusOK
	})
	if dead {
		return fmt.Errorf("%s exited with %d before it was ready:\n%s", w.Name, exitCode(w.state), tail(w.LogText(), 30))
	}
	return err
}

// Get asks one of Crisper's HTTP routes.
func (w *Worker) Get(ctx context.Context, path string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.HTTP+path, nil)
	if err != nil {
		return 0, "", fmt.Errorf("cannot make a request for %s: %w", path, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("cannot get %s: %w", path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", fmt.Errorf("cannot read %s: %w", path, err)
	}
	return response.StatusCode, string(text), nil
}

// State is /state of Crisper.
func (w *Worker) State(ctx context.Context) (ops.State, error) {
	var s ops.State
	_, body, err := w.Get(ctx, "/state")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		return s, fmt.Errorf("cannot read /state: %w", err)
	}
	return s, nil
}

// UntilState waits until /state answers yes.
func (w *Worker) UntilState(ctx context.Context, what string, yes func(ops.State) bool) error {
	return Until(ctx, what, func() bool {
		s, err := w.State(ctx)
		return err == nil && yes(s)
	})
}
