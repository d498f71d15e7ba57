package redislease_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"crisper/beat/lease"
	"crisper/beat/lease/leasetest"
	"crisper/beat/lease/redislease"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

func TestRedisKeepsALease(t *testing.T) {
	leasetest.Exercise(t, func(t *testing.T) leasetest.Bed {
		server := miniredis.RunT(t)
		return bed(redis.Options{Addr: server.Addr()})
	})
}

func bed(opts redis.Options) leasetest.Bed {
	return leasetest.Bed{
		Open: func(t testing.TB) lease.Backend {
			b := redislease.Open(opts, "crisper-beat")
			t.Cleanup(func() { _ = b.Close() })
			return b
		},
		Delete: func(t testing.TB) {
			client := redis.NewClient(&opts)
			defer func() { _ = client.Close() }()
			if err := client.FlushDB(t.Context()).Err(); err != nil {
				t.Fatal(err)
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
