package harness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bed is one scenario's directory and everything started in it.
type Bed struct {
	Dir     string // logs, journal and data
	Root    string // the repository
	Python  string // interpreter with Celery
	Binary  string // crisper
	Journal *Journal

	mu      sync.Mutex
	closers []func()
	names   map[string]int
	logs    []string
}

// Options of Make. Zero values are the defaults.
type Options struct {
	Name   string // of the directory; default "bed"
	Python string // default: CRISPER_TEST_PYTHON, then .cache/celery57
	Binary string // default: CRISPER_BIN, then bin/crisper
}

// Make creates a bed. The caller closes it.
func Make(o Options) (*Bed, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	parent := filepath.Join(root, "integration", ".runs")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("cannot create the folder of test runs: %w", err)
	}
	dir, err := os.MkdirTemp(parent, fileName(orElse(o.Name, "bed"))+"-")
	if err != nil {
		return nil, fmt.Errorf("cannot create a test bed: %w", err)
	}
	b := &Bed{
		Dir: dir, Root: root, names: map[string]int{},
		Python:  orElse(o.Python, os.Getenv("CRISPER_TEST_PYTHON"), filepath.Join(root, ".cache", "celery57", "bin", "python")),
		Binary:  orElse(o.Binary, os.Getenv("CRISPER_BIN"), filepath.Join(root, "bin", "crisper")),
		Journal: &Journal{Path: filepath.Join(dir, "journal")},
	}
	if err := b.check(); err != nil {
		b.Remove()
		return nil, err
	}
	return b, nil
}

// check names what is missing in one sentence each.
func (b *Bed) check() error {
	var missing []error
	if _, err := os.Stat(b.Python); err != nil {
		missing = append(missing, fmt.Errorf("there is no interpreter with Celery at %s (CRISPER_TEST_PYTHON); run `make venvs`", b.Python))
	}
	if _, err := os.Stat(b.Binary); err != nil {
		missing = append(missing, fmt.Errorf("there is no crisper at %s; run `make build`", b.Binary))
	}
	return errors.Join(missing...)
}

// Close ends everything that was started here, the newest first.
func (b *Bed) Close() {
	b.mu.Lock()
	closers := b.closers
	b.closers = nil
	b.mu.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
}

// Remove closes the bed and deletes its directory.
func (b *Bed) Remove() {
	b.Close()
	os.RemoveAll(b.Dir)
}

// OnClose registers something to be ended by Close.
func (b *Bed) OnClose(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closers = append(b.closers, f)
}

// Path returns a file name inside the bed, numbered when the name was used before.
func (b *Bed) Path(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names[name]++
	if n := b.names[name]; n > 1 {
		ext := filepath.Ext(name)
		name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ext), n, ext)
	}
	return filepath.Join(b.Dir, name)
}

// Tails returns the ends of all logs, for a failed test.
func (b *Bed) Tails(lines int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	for _, path := range b.logs {
		text, _ := os.ReadFile(path)
		fmt.Fprintf(&out, "=== %s\n%s\n", path, tail(string(text), lines))
	}
	return out.String()
}

func (b *Bed) addLog(path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logs = append(b.logs, path)
}

// Ports below those that Linux gives to outgoing connections: one of these would be
// taken by any connection that is made between our look and the server's start.
const (
	firstPort = 12000
	ports     = 20000
)

var (
	portMu sync.Mutex
	given  = map[int]bool{} // to whom it was given it stays: a server may be started again
)

// FreePort returns a loopback port that nobody listens on now, and none twice.
func FreePort() (int, error) {
	portMu.Lock()
	defer portMu.Unlock()
	var last error
	for range 1000 {
		port := firstPort + rand.IntN(ports)
		if given[port] {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			last = err
			continue
		}
		l.Close()
		given[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("cannot find a free port: %w", last)
}

// Until calls done until it is true or the context ends. It is for facts that
// nobody announces: a file that grows, a key in Redis, a process table.
func Until(ctx context.Context, what string, done func() bool) error {
	// Nobody tells us of these facts, so we look; 2 ms is finer than anything measured by it.
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("cannot tell the working directory: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("cannot find the repository: no go.mod above the working directory")
}

func orElse(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, s)
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}
