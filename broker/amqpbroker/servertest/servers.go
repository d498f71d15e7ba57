package servertest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a real server process that ends with the test. It survives in port and
// data what happens to its process.
type Server struct {
	Port int

	t     testing.TB
	name  string
	args  []string
	env   []string
	log   string
	ready func(ctx context.Context) error
	cmd   *exec.Cmd
	ended chan struct{}
}

// Addr is host:port.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// Redis starts a redis-server that writes each command to disk.
func Redis(t testing.TB, more ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	return startRedis(t, dir, append([]string{"--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always"}, more...))
}

// Sentinel starts a sentinel with a configuration file, which it rewrites.
func Sentinel(t testing.TB, config string) *Server {
	t.Helper()
	return startRedis(t, t.TempDir(), []string{config, "--sentinel"})
}

func startRedis(t testing.TB, dir string, args []string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH")
	}
	s := &Server{Port: FreePort(t), t: t, name: "redis-server", log: filepath.Join(dir, "log")}
	s.args = append(args, "--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1")
	s.ready = func(ctx context.Context) error {
		c := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1, DialerRetries: 1})
		defer c.Close()
		return c.Ping(ctx).Err()
	}
	t.Cleanup(s.Kill)
	s.Start()
	return s
}

// Start starts the process, again after Kill.
func (s *Server) Start() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()                       // the process has its own
	s.cmd = exec.Command(s.name, s.args...) //nolint:gosec // of this file
	s.cmd.Env = append(os.Environ(), s.env...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("cannot start %s: %v", s.name, err)
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) { _ = cmd.Wait(); close(ended) }(s.cmd, s.ended)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for s.ready(ctx) != nil {
		select {
		case <-s.ended:
			s.t.Fatalf("%s does not start:\n%s", s.name, s.Log())
		case <-ctx.Done():
			s.t.Fatalf("%s does not answer:\n%s", s.name, s.Log())
		case <-time.After(50 * time.Millisecond): // a starting server tells nobody
		}
	}
}

// Kill is kill -9 of the process and what it started.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // fails only when it has ended
	<-s.ended
	s.cmd = nil
}

// Log is the end of what the process wrote.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// patience is for a machine that many share: RabbitMQ starts in 3 s on a free one, and was
// seen to need minutes.
const patience = 5 * time.Minute

// FreePort is one that nobody listens on now, and that no outgoing connection takes: it is
// below those that Linux gives to them.
func FreePort(t testing.TB) int {
	t.Helper()
	const first, ports = 12000, 20000
	var err error
	for range 1000 {
		port := first + rand.IntN(ports)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatalf("cannot find a free port: %v", err)
	return 0
}

// Python runs a script with the interpreter of an environment variable, which has
// a Celery, and returns what it prints.
func Python(t testing.TB, variable, script string, stdin []byte, args ...string) []byte {
	t.Helper()
	python := os.Getenv(variable)
	if python == "" {
		t.Skip(variable + " names no interpreter")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, append([]string{script}, args...)...) //nolint:gosec // of the test
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, stderr.String())
	}
	return out
}
