package redislease_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"crisper/beat/lease"
	"crisper/beat/lease/leasetest"
	"crisper/beat/lease/redislease"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

func TestRedisKeepsALease(t *testing.T) {
	server := miniredis.RunT(t)
	leasetest.ExerciseInBubbles(t, func(t *testing.T) leasetest.Bed {
		return bed(t.Name(), redis.Options{Addr: server.Addr(), Dialer: func(context.Context, string, string) (net.Conn, error) {
			return throughPipe(server.Addr())
		}})
	})
}

// throughPipe connects to a server outside of the bubble: who waits for a pipe lets the
// bubble's time go on, who waits for a network does not, and that is only while the
// server has something to answer.
func throughPipe(addr string) (net.Conn, error) {
	outside, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	go func() {
		defer func() { _ = outside.Close(); _ = theirs.Close() }()
		requests, answers := bufio.NewReader(theirs), bufio.NewReader(outside)
		for carry(requests, outside) == nil && carry(answers, theirs) == nil {
		}
	}()
	return ours, nil
}

// carry takes one RESP value from one side to the other.
func carry(from *bufio.Reader, to io.Writer) error {
	var value bytes.Buffer
	if err := take(from, &value); err != nil {
		return err
	}
	_, err := to.Write(value.Bytes())
	return err
}

func take(from *bufio.Reader, value *bytes.Buffer) error {
	line, err := from.ReadBytes('\n')
	if err != nil {
		return err
	}
	value.Write(line)
	n, _ := strconv.Atoi(strings.TrimSpace(string(line[1:])))
	switch line[0] {
	case '$':
		if n >= 0 {
			_, err = io.CopyN(value, from, int64(n)+2)
		}
		return err
	case '%':
		n *= 2
	case '*':
	default:
		return nil
	}
	for range n {
		if err := take(from, value); err != nil {
			return err
		}
	}
	return nil
}

func bed(name string, opts redis.Options) leasetest.Bed {
	return leasetest.Bed{
		Open: func(t testing.TB) lease.Backend {
			b := redislease.Open(opts, name)
			t.Cleanup(func() { _ = b.Close() })
			return b
		},
		Delete: func(t testing.TB) {
			fresh := opts // a client fills in its own
			client := redis.NewClient(&fresh)
			defer func() { _ = client.Close() }()
			if n, err := client.Del(t.Context(), "crisper.lease."+name).Result(); n != 1 || err != nil {
				t.Fatalf("deleted %d: %v", n, err)
			}
		},
	}
}

func TestAServerThatIsAwayMayComeBack(t *testing.T) {
	server := miniredis.RunT(t)
	b := redislease.Open(redis.Options{Addr: server.Addr()}, "x")
	defer func() { _ = b.Close() }()
	server.Close()
	_, err := b.Read(t.Context())
	var refusal *lease.Refusal
	if err == nil || errors.As(err, &refusal) {
		t.Errorf("away: %v", err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(t.Context()); err != nil {
		t.Errorf("back: %v", err)
	}
}

func TestARefusalOfRedisIsNamed(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("secret")
	b := redislease.Open(redis.Options{Addr: server.Addr(), Password: "wrong-word"}, "x")
	defer func() { _ = b.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := b.Read(ctx)
	var refusal *lease.Refusal
	if !errors.As(err, &refusal) {
		t.Errorf("%v is no refusal", err)
	}
}
