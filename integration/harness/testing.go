package harness

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// New makes a bed for a test. It is closed when the test ends, and removed when
// the test has passed; a failed test leaves it and says how to run it again.
func New(t *testing.T) *Bed { return NewWith(t, Options{}) }

// NewWith is New with options.
func NewWith(t *testing.T, o Options) *Bed {
	t.Helper()
	o.Name = orElse(o.Name, t.Name())
	b, err := Make(o)
	if err != nil {
		t.Fatalf("cannot make a test bed: %v", err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			b.Remove()
			return
		}
		b.Close()
		t.Logf("%s\nkept: %s\nagain: make test-integration RUN='^%s$'", b.Tails(25), b.Dir, t.Name())
	})
	return b
}

// Old is the oldest supported Celery: CRISPER_TEST_PYTHON_OLD, then .cache/celery53.
func Old(t *testing.T) Options {
	t.Helper()
	root, err := findRoot()
	Must(t, err)
	return Options{Python: orElse(os.Getenv("CRISPER_TEST_PYTHON_OLD"), filepath.Join(root, ".cache", "celery53", "bin", "python"))}
}

// Gevent is the newest Celery with gevent: CRISPER_TEST_PYTHON_GEVENT, then
// .cache/gevent.
func Gevent(t *testing.T) Options {
	t.Helper()
	root, err := findRoot()
	Must(t, err)
	return Options{Python: orElse(os.Getenv("CRISPER_TEST_PYTHON_GEVENT"), filepath.Join(root, ".cache", "gevent", "bin", "python"))}
}

// Must fails the test at once on an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Got is Must for a value and an error.
func Got[V any](value V, err error) func(*testing.T) V {
	return func(t *testing.T) V {
		t.Helper()
		Must(t, err)
		return value
	}
}

// slowest is how many times as long as on a machine of our own something may take on
// one that others use too. Only a test that fails waits so long.
const slowest = 4

// Deadline is a context that ends with the test, or when what takes d at most has not
// happened for several times d. A bound that is promised is asserted, see Busy.
func Deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), slowest*d)
	t.Cleanup(cancel)
	return ctx
}

// Stage is the usual setting: a redis-server, the sample app on it with results in
// database 1, and a client.
type Stage struct {
	*Bed
	Redis  *Redis
	App    App
	Client *Client
}

// NewStage sets it up.
func NewStage(t *testing.T, o Options) *Stage {
	t.Helper()
	b := NewWith(t, o)
	s, err := b.Stage(Deadline(t, 30*time.Second), RedisOptions{})
	Must(t, err)
	return s
}

// Stage sets it up in a bed.
func (b *Bed) Stage(ctx context.Context, o RedisOptions) (*Stage, error) {
	r, err := b.StartRedis(ctx, o)
	if err != nil {
		return nil, err
	}
	app := App{Broker: r.URL(0), Backend: r.URL(1)}
	c, err := b.StartClient(app)
	if err != nil {
		return nil, err
	}
	return &Stage{Bed: b, Redis: r, App: app, Client: c}, nil
}

// Crisper starts a worker of the stage's app and waits until it is ready.
func (s *Stage) Crisper(t *testing.T, args ...string) *Worker {
	t.Helper()
	w, err := s.StartCrisper(s.App, args...)
	Must(t, err)
	Must(t, w.WaitReady(Deadline(t, 30*time.Second)))
	return w
}

// Stock does the same with Celery's own worker.
func (s *Stage) Stock(t *testing.T, args ...string) *Worker {
	t.Helper()
	w, err := s.StartStock(s.App, args...)
	Must(t, err)
	Must(t, w.WaitReady(Deadline(t, 30*time.Second)))
	return w
}

// Send publishes a task.
func (s *Stage) Send(t *testing.T, task Task) string {
	t.Helper()
	id, err := s.Client.Send(task)
	Must(t, err)
	return id
}

// Result waits for the result of one task.
func (s *Stage) Result(t *testing.T, id string) Result {
	t.Helper()
	found, err := s.Client.Results(time.Minute, id)
	Must(t, err)
	return found[id]
}
