package main

import (
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/broker/redisbroker"
	"crisper/supervisor/agent"
)

// openRedis makes the client; it connects to nothing yet.
func openRedis(info agent.Info, workerID string, log *zap.Logger) (broker.Consumer, error) {
	cfg := redisbroker.Defaults()
	cfg.URLs = info.Broker.URLs
	if info.Broker.FailoverStrategy != "" {
		cfg.FailoverStrategy = info.Broker.FailoverStrategy
	}
	cfg.TransportOptions, cfg.UseSSL = info.Broker.TransportOptions, info.Broker.UseSSL
	cfg.Queues, cfg.WorkerID, cfg.Hostname, cfg.Log = info.Queues, workerID, info.Hostname, log
	if timeout := conf(info, "broker_connection_timeout", 0.0); timeout > 0 {
		cfg.ConnectTimeout = time.Duration(timeout * float64(time.Second))
	}
	cfg.Retry.Enabled = conf(info, "broker_connection_retry", true)
	// Celery: without a value of its own, starting up follows broker_connection_retry
	// (worker/consumer/consumer.py, 5.7).
	cfg.Retry.OnStartup = conf(info, "broker_connection_retry_on_startup", cfg.Retry.Enabled)
	cfg.Retry.MaxRetries = conf(info, "broker_connection_max_retries", 0) // None: for ever
	consumer, err := redisbroker.New(cfg)
	if err != nil {
		return nil, exitError{exitUsage, err}
	}
	return consumer, nil
}

// conf reads one setting of the app; fallback when it is None or missing.
func conf[T any](info agent.Info, name string, fallback T) T {
	var value *T
	if err := json.Unmarshal(info.Conf[name], &value); err != nil || value == nil {
		return fallback
	}
	return *value
}
