package beattest

import (
	"bytes"
	"context"
	"fmt"
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
	port := freePort(t)
	dir := t.TempDir()
	s := &Server{Port: port, t: t, name: "redis-server", log: filepath.Join(dir, "log")}
	s.args = append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always"}, more...)
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
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
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

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Python runs a script with the interpreter of an environment variable, which has
// a Celery, and returns what it prints.
func Python(t testing.TB, variable, script string, stdin []byte, args ...string) []byte {
	t.Helper()
	python := os.Getenv(variable)
	if python == "" {
		t.Skip(variable + " names no interpreter")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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

// RabbitMQ starts a broker of its own: a node name, ports and data that nobody
// else has.
func RabbitMQ(t testing.TB) *Server {
	t.Helper()
	program, err := exec.LookPath("rabbitmq-server")
	if err != nil {
		program = "/usr/sbin/rabbitmq-server" // not in a user's PATH on Debian
	}
	dir, port, dist := t.TempDir(), freePort(t), freePort(t)
	s := &Server{Port: port, t: t, name: program, log: filepath.Join(dir, "log")}
	config := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\nloopback_users.guest = true\n", port)
	for name, text := range map[string]string{"rabbitmq.conf": config, "enabled_plugins": "[].\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.env = []string{
		"HOME=" + dir, "RABBITMQ_NODENAME=crisper" + strconv.Itoa(port) + "@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(port), "RABBITMQ_DIST_PORT=" + strconv.Itoa(dist),
		"RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "enabled_plugins"), "RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"),
		"ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
	}
	s.ready = func(ctx context.Context) error { return greet(ctx, s.Addr()) }
	t.Cleanup(s.Kill)
	s.Start()
	return s
}

// greet waits for AMQP's answer to its header.
func greet(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}
