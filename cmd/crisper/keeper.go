package main

import (
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/broker/redisbroker"
	"crisper/supervisor/celery"
)

// openKeeper makes the client that looks after what Celery's own workers have in hand;
// nil for brokers that do so themselves.
func openKeeper(log *zap.Logger) func(celery.BrokerInfo) (broker.Keeper, error) {
	return func(info celery.BrokerInfo) (broker.Keeper, error) {
		for _, list := range info.URLs {
			if !isRedis(list) {
				return nil, nil
			}
		}
		cfg := redisbroker.Defaults()
		cfg.URLs, cfg.TransportOptions, cfg.UseSSL, cfg.Log = info.URLs, info.TransportOptions, info.UseSSL, log
		if info.FailoverStrategy != "" {
			cfg.FailoverStrategy = info.FailoverStrategy
		}
		if info.ConnectTimeout > 0 {
			cfg.ConnectTimeout = time.Duration(info.ConnectTimeout * float64(time.Second))
		}
		keeper, err := redisbroker.NewKeeper(cfg)
		if err != nil {
			return nil, err // and not a nil *Keeper that is no nil interface
		}
		return keeper, nil
	}
}

// isRedis says whether all URLs of a failover list are of the one transport.
func isRedis(list string) bool {
	for url := range strings.SplitSeq(list, ";") {
		scheme, _, found := strings.Cut(strings.ToLower(url), "://")
		transport, _, _ := strings.Cut(scheme, "+")
		if !found || !slices.Contains([]string{"redis", "rediss", "sentinel"}, transport) {
			return false
		}
	}
	return true
}
