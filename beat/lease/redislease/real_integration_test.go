//go:build integration

package redislease_test

import (
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"crisper/beat/lease/leasetest"
	"crisper/beat/lease/redislease"

	"github.com/redis/go-redis/v9"
)

func TestARealRedisKeepsALease(t *testing.T) {
	leasetest.Exercise(t, func(t *testing.T) leasetest.Bed {
		server := spawn(t, "")
		return bed("x", redis.Options{Addr: server.addr})
	})
}

// A Redis without persistence forgets everything: who leads finds out and makes the
// record anew; his next token is greater all the same.
func TestARedisThatForgetsEndsTheTermAndTokensGoOn(t *testing.T) {
	server := spawn(t, "")
	f := leasetest.NewField(t)
	f.Start("a", redislease.Open(redis.Options{Addr: server.addr}, "x"), leasetest.Quick())
	first := f.Next(5 * time.Second)
	server.kill()
	server.start()
	if second := f.Next(10 * time.Second); second.Term.Token <= first.Term.Token {
		t.Errorf("token %d after %d", second.Term.Token, first.Term.Token)
	}
}

type process struct {
	t    testing.TB
	args []string
	addr string
	cmd  *exec.Cmd
}

func spawn(t testing.TB, save string) *process {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on PATH")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	p := &process{t: t, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	p.args = []string{path, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", save, "--dir", t.TempDir()}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: p.addr})
	defer func() { _ = client.Close() }()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if client.Ping(p.t.Context()).Err() == nil {
			return
		}
		time.Sleep(20 * time.Millisecond) // it does not say when it listens but in its log
	}
	p.t.Fatal("redis-server does not answer")
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
