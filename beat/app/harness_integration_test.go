//go:build integration && linux

package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait of these tests; a loaded machine is slow.
const patience = 5 * time.Minute

// eachPython runs a test with every interpreter that has Celery.
func eachPython(t *testing.T, test func(t *testing.T, python string)) {
	found := false
	for _, name := range []string{"CRISPER_TEST_PYTHON", "CRISPER_TEST_PYTHON_OLD"} {
		if python := os.Getenv(name); python != "" {
			found = true
			t.Run(name, func(t *testing.T) { test(t, python) })
		}
	}
	if !found {
		t.Skip("set CRISPER_TEST_PYTHON to an interpreter with Celery")
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// apps is the folder of the apps.
func apps(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("testdata/apps")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// start starts a timekeeper, and returns its output too.
func start(t testing.TB, o Options, env ...string) (*App, *lockedBuffer, error) {
	t.Helper()
	output := &lockedBuffer{}
	o.Workdir = apps(t)
	o.Env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), env...)
	o.Stdout, o.Stderr = output, output
	a, err := Start(deadline(t), o)
	t.Cleanup(func() {
		if a != nil {
			a.Close()
		}
		if t.Failed() {
			t.Logf("the timekeeper's output:\n%s", output)
		}
	})
	return a, output, err
}

// load is start, which must do.
func load(t testing.TB, o Options, env ...string) (*App, *lockedBuffer) {
	t.Helper()
	a, output, err := start(t, o, env...)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return a, output
}

// named finds entries.
func named(a *App) map[string]Entry {
	entries := map[string]Entry{}
	for _, e := range a.Entries() {
		entries[e.Name] = e
	}
	return entries
}

// until waits for something that the timekeeper tells in no other way.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); {
		if time.Now().After(end) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(10 * time.Millisecond) // other processes' doings raise no event here
	}
}
