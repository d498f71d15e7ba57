package main

import (
	"strings"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/agent"
)

type openBrokerFunc func(info agent.Info, workerID string, log *zap.Logger) (broker.Consumer, error)

// openBroker chooses the client by the URLs' scheme. All URLs of a list have to
// be of one kind: a failover between kinds would strand what is in hand.
func openBroker(info agent.Info, workerID string, log *zap.Logger) (broker.Consumer, error) {
	if len(info.Broker.URLs) == 0 {
		return nil, usageError("the app names no broker: set broker_url, or give -b/--broker")
	}
	for _, list := range info.Broker.URLs {
		for url := range strings.SplitSeq(list, ";") {
			if err := supported(url); err != nil {
				return nil, err
			}
		}
	}
	return openRedis(info, workerID, log)
}

// supported names the scheme only: the rest of the URL may hold a password.
func supported(url string) error {
	scheme, _, found := strings.Cut(url, "://")
	if !found {
		return nil // the client tells what is wrong with it
	}
	transport, _, _ := strings.Cut(strings.ToLower(scheme), "+")
	switch transport {
	case "redis", "rediss", "sentinel", "unix":
		return nil
	case "valkey", "valkeys":
		return usageError("cannot use the broker scheme %q: Celery knows no such transport; write redis:// for a Valkey server", scheme)
	}
	return usageError("cannot use the broker scheme %q: this version speaks to Redis (redis, rediss, sentinel, redis+socket); run this app with `celery worker`", scheme)
}
