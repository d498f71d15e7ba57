package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/redis/go-redis/v9"

	"crisper/broker"
)

// refusals are error replies that will not go away by trying again.
var refusals = []string{"WRONGPASS", "NOAUTH", "NOPERM", "ERR AUTH", "ERR invalid password", "ERR Client sent AUTH",
	"ERR unknown command", "ERR Unknown Redis command", "ERR DB index is out of range", "ERR invalid DB index"}

// passing are replies of a server that is not itself yet, or no longer the
// master: another connection, later or elsewhere, will do.
var passing = []string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "UNBLOCKED", "BUSY", "NOREPLICAS",
	"ERR max number of clients", "MISCONF", "OOM"}

// classify gives an error one of broker's two faces, or leaves it as it is.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, broker.ErrRefused), errors.Is(err, broker.ErrUnavailable):
		return err
	case errors.Is(err, context.Canceled):
		return err
	}
	var reply redis.Error
	if errors.As(err, &reply) && !errors.Is(err, redis.Nil) {
		text := reply.Error()
		if hasPrefix(text, refusals) {
			return fmt.Errorf("%w: %v", broker.ErrRefused, err)
		}
		if !hasPrefix(text, passing) && !errors.Is(err, io.EOF) && !isTransport(err) {
			return err
		}
	}
	return fmt.Errorf("%w: %v", broker.ErrUnavailable, err)
}

// isTransport: go-redis gives some of its own failures the type of a reply.
func isTransport(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "redis: ") || strings.Contains(text, "closed")
}

func hasPrefix(text string, list []string) bool {
	for _, p := range list {
		if strings.HasPrefix(text, p) {
			return true
		}
	}
	return strings.Contains(text, "NOPERM") // of a command inside a script
}
