//go:build integration

package redisbroker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crisper/broker"
	"crisper/broker/brokertest"
)

// process is a real redis-server (or sentinel) of our own.
type process struct {
	t    testing.TB
	args []string
	dir  string
	port int
	cmd  *exec.Cmd
}

// spawn starts redis-server with a port of its own; more are further arguments.
func spawn(t testing.TB, more ...string) *process {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on PATH")
	}
	p := &process{t: t, dir: t.TempDir(), port: freePort(t)}
	p.args = append([]string{path, "--bind", "127.0.0.1", "--port", fmt.Sprint(p.port), "--save", "", "--dir", p.dir}, more...)
	p.start()
	t.Cleanup(p.kill)
	return p
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start waits for the line that says it listens.
func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			p.t.Fatalf("redis-server did not start: %v", err)
		}
		if strings.Contains(line, "Ready to accept") || strings.Contains(line, "Sentinel ID") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // ends with the process
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) url() string { return fmt.Sprintf("redis://127.0.0.1:%d/0", p.port) }

func (p *process) server() *server { return newServer(p.t, p.url()) }

func TestConformanceOnRedis(t *testing.T) {
	p := spawn(t)
	brokertest.Exercise(t, brokertest.Harness{Presence: testPresence, New: func(t *testing.T) brokertest.Server {
		s := p.server()
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return s
	}})
}

func TestWrongPasswordIsRefusedAtOnceAndNeverShown(t *testing.T) {
	p := spawn(t, "--requirepass", "sesame")
	for _, login := range []string{":hunter2@", ""} {
		s := &server{url: fmt.Sprintf("redis://%s127.0.0.1:%d/0", login, p.port)}
		w := brokertest.Run(t, s.consumer(t, "w", "q"))
		err := w.Ended()
		if !errors.Is(err, broker.ErrRefused) || strings.Contains(err.Error(), "hunter2") {
			t.Fatalf("login %q: %v", login, err)
		}
	}
}

func TestUserOfTheACLWithTheseKeysOnly(t *testing.T) {
	p := spawn(t)
	admin := p.server().client
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "worker", "on", ">s@:/?#x", "~app:*", "+@all", "-@dangerous", "+info").Err(); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, fmt.Sprintf("redis://worker:s%%40%%3A%%2F%%3F%%23x@127.0.0.1:%d/0", p.port))
	s.change = func(c *Config) { c.TransportOptions = raw(t, `{"global_keyprefix": "app:"}`) }
	s.keys = newLayout(options{prefix: "app:", sep: "\x06\x16", steps: []int{0, 3, 6, 9}}, "")
	roundTrip(t, s)
	s.change = func(c *Config) { c.TransportOptions = raw(t, `{"global_keyprefix": "other:"}`) }
	if err := brokertest.Run(t, s.consumer(t, "w2", "q")).Ended(); !errors.Is(err, broker.ErrRefused) {
		t.Fatalf("keys that are not allowed: %v", err)
	}
}

// roundTrip takes and settles one message.
func roundTrip(t *testing.T, s *server) {
	t.Helper()
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	s.Publish(t, "q", 0, brokertest.Payload("a", 0))
	ds := w.MustTake(5)
	if len(ds) != 1 {
		t.Fatalf("took %d", len(ds))
	}
	if gone := w.MustSettle(brokertest.All(ds, broker.Ack)...); len(gone) != 0 {
		t.Fatalf("gone: %q", gone)
	}
	w.MustTake(1)
	s.Publish(t, "q", 9, brokertest.Payload("b", 9))
	brokertest.Await[broker.Ready](w)
	if ds = w.MustTake(1); len(ds) != 1 {
		t.Fatal("nothing after Ready")
	}
	w.MustSettle(brokertest.All(ds, broker.Ack)...)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{s.keys.unacked, s.keys.index, s.keys.owners, s.keys.presence} {
		if n := s.client.Exists(t.Context(), key).Val(); n != 0 {
			t.Errorf("%s is left", key)
		}
	}
}

func TestDatabaseAndKeyPrefix(t *testing.T) {
	p := spawn(t)
	s := newServer(t, fmt.Sprintf("redis://127.0.0.1:%d/7", p.port))
	s.change = func(c *Config) { c.TransportOptions = raw(t, `{"global_keyprefix": "pfx:"}`) }
	s.keys = newLayout(options{prefix: "pfx:", sep: "\x06\x16", steps: []int{0, 3, 6, 9}, unackedKey: "unacked", indexKey: "unacked_index"}, "")
	roundTrip(t, s)
	keys := s.client.Keys(t.Context(), "*").Val()
	for _, key := range keys {
		if !strings.HasPrefix(key, "pfx:") {
			t.Errorf("key without prefix: %q", key)
		}
	}
	if n := p.server().client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys in database 0", n)
	}
}

func TestUnixSocket(t *testing.T) {
	// Not in the test's directory: the path of a socket may have 107 bytes only.
	dir, err := os.MkdirTemp("", "rb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	p := spawn(t, "--unixsocket", path)
	for _, url := range []string{"redis+socket://" + path + "?virtual_host=3", "unix://" + path + "?db=3"} {
		s := newServer(t, fmt.Sprintf("redis://127.0.0.1:%d/3", p.port))
		s.change = func(c *Config) { c.URLs = []string{url} }
		roundTrip(t, s)
	}
}

func TestConsumingGoesOnWithinTwoSecondsOfARestart(t *testing.T) {
	p := spawn(t, "--appendonly", "yes", "--appendfsync", "always")
	s := p.server()
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	s.Publish(t, "q", 0, brokertest.Payload("a", 0))
	held := w.MustTake(5)
	p.kill()
	lost := brokertest.Await[broker.Disconnected](w)
	if !errors.Is(lost.Err, broker.ErrUnavailable) {
		t.Fatalf("disconnected: %v", lost.Err)
	}
	if _, err := w.Settle(t.Context(), brokertest.All(held, broker.Ack)); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatalf("settle without a server: %v", err)
	}
	time.Sleep(500 * time.Millisecond) // long enough that the first tries fail
	p.start()
	back, bound := time.Now(), brokertest.Bound(2*time.Second)
	brokertest.Await[broker.Connected](w)
	if took := time.Since(back); took > bound() {
		t.Errorf("connected only after %s", took)
	}
	if gone := w.MustSettle(brokertest.All(held, broker.Ack)...); len(gone) != 0 {
		t.Fatalf("gone: %q", gone)
	}
	w.MustTake(1)
	s.Publish(t, "q", 0, brokertest.Payload("b", 0))
	brokertest.Await[broker.Ready](w)
	w.MustSettle(brokertest.All(w.MustTake(1), broker.Ack)...)
}

func TestAnUnreachableServerIsGivenUpAsCelerysSettingsSay(t *testing.T) {
	s := &server{url: fmt.Sprintf("redis://127.0.0.1:%d/0", freePort(t)), change: func(c *Config) {
		c.Retry = broker.Retry{Enabled: true, OnStartup: true, MaxRetries: 2, Start: time.Millisecond, Step: time.Millisecond}
	}}
	w := brokertest.Run(t, s.consumer(t, "w", "q"))
	if err := w.Ended(); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatal(err)
	}
	if tries := brokertest.Got[broker.Disconnected](w); len(tries) != 2 || tries[1].Attempt != 2 || tries[1].Limit != 2 {
		t.Fatalf("tries: %+v", tries)
	}
}

func TestTheNextURLIsTriedWhenOneFails(t *testing.T) {
	p := spawn(t)
	s := p.server()
	s.change = func(c *Config) {
		c.URLs = []string{fmt.Sprintf("redis://127.0.0.1:%d/0;%s", freePort(t), p.url())}
		c.Retry.Start = time.Millisecond
	}
	roundTrip(t, s)
}
