package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"crisper/beat"
	"crisper/beat/amqpbeat"
	"crisper/beat/app"
	"crisper/beat/leader"
	"crisper/beat/lease"
	"crisper/beat/redisbeat"
	"crisper/broker/amqpbroker"
	"crisper/broker/redisbroker"
	"crisper/cmd/crisper/internal/options"
)

// siteOf chooses where the Lease, the records and the messages of a beat are.
type siteOf struct {
	plan options.BeatPlan
	log  *zap.Logger
}

func (c siteOf) open(info app.Info) (leader.Site, error) {
	name := scheduleName(c.plan, info)
	site := leader.Site{Schedule: name}
	var closers []func()
	site.Close = func() {
		for _, do := range closers {
			do()
		}
	}
	backend, closeBackend, err := c.backend(info, name)
	if err != nil {
		return site, err
	}
	site.Backend = backend
	closers = append(closers, closeBackend)
	if leader.NeedsCelery(info) != "" {
		return site, nil // that one publishes by itself
	}
	if info.RemoteControl {
		c.log.Warn("beat_enable_remote_control has no effect: nothing answers `celery inspect ping` here; use the probes /livez and /readyz")
	}
	publisher, err := c.publisher(&site, info, name)
	if err != nil {
		site.Close()
		return site, err
	}
	site.Publisher = publisher
	closers = append(closers, func() { _ = publisher.Close() })
	return site, nil
}

// scheduleName is that of the Lease, and of the schedule on the broker.
func scheduleName(plan options.BeatPlan, info app.Info) string {
	if plan.Election.Name != "" {
		return plan.Election.Name
	}
	name := info.AppName
	if name == "" || name == "__main__" {
		name = plan.Beat.App.App
	}
	if name = plainName(name); name == "" {
		return lease.DefaultName
	}
	return name + "-beat"
}

// plainName makes a name that Kubernetes takes.
func plainName(text string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, strings.ToLower(text))
	return strings.Trim(plain[:min(len(plain), 50)], "-")
}

func (c siteOf) backend(info app.Info, name string) (lease.Backend, func(), error) {
	spec := c.plan.Election
	spec.Name, spec.Path = name, info.ScheduleFilename+".lease"
	closeClient := func() {}
	if spec.Kind == lease.Redis {
		if spec.RedisURL = c.plan.ElectionURL; spec.RedisURL == "" {
			client, err := brokersRedis(info, c.log)
			if err != nil {
				return nil, nil, err
			}
			spec.Client = client
			closeClient = func() { _ = client.Close() }
		}
	}
	backend, err := lease.Open(spec)
	if err != nil {
		return nil, nil, exitError{exitUsage, err}
	}
	return backend, func() { _ = backend.Close(); closeClient() }, nil
}

// brokersRedis is a client for an election beside the messages. One server it must be:
// candidates that ask different ones would all lead.
func brokersRedis(info app.Info, log *zap.Logger) (*redis.Client, error) {
	const advice = "; name one Redis with --election-url"
	if info.Transport != "redis" {
		return nil, usageError("cannot hold the election on the broker: it is no Redis" + advice)
	}
	access, err := redisbroker.NewAccess(redisConfig(info, log))
	if err != nil {
		return nil, exitError{exitUsage, err}
	}
	if access.Nodes() != 1 || strings.HasPrefix(info.Broker.URLs[0], "sentinel") {
		return nil, usageError("cannot hold the election on the broker: it is more than one server" + advice)
	}
	return access.Open(context.Background(), 0, time.Second) // connects when it is used
}

func (c siteOf) publisher(site *leader.Site, info app.Info, name string) (beat.Publisher, error) {
	switch info.Transport {
	case "redis":
		cfg := redisConfig(info, c.log)
		p, err := redisbeat.New(redisbeat.Config{Broker: cfg, Schedule: name, Log: c.log})
		if err != nil {
			return nil, exitError{exitUsage, err}
		}
		clock, err := newRedisClock(cfg)
		if err != nil {
			return nil, exitError{exitUsage, err}
		}
		site.Clock = clock.ask
		return closing{p, clock}, nil
	case "amqp":
		return c.amqp(site, info, name)
	}
	return nil, usageError("cannot publish by the transport %s", info.Transport)
}

// closing closes the clock with the publisher.
type closing struct {
	*redisbeat.Publisher
	clock *redisClock
}

func (c closing) Close() error {
	c.clock.close()
	return c.Publisher.Close()
}

func (c siteOf) amqp(site *leader.Site, info app.Info, name string) (beat.Publisher, error) {
	var store amqpbeat.Store
	switch c.plan.Election.Kind {
	case lease.Kubernetes:
		api, err := reachAPI(c.plan.Election.Kubeconfig, c.plan.Election.Namespace)
		if err != nil {
			return nil, exitError{exitUsage, err}
		}
		site.Clock = api.clock
		if store, err = amqpbeat.NewKubeStore(api.config, api.namespace, name+"-records"); err != nil {
			return nil, exitError{exitUsage, err}
		}
	case lease.File:
		store = &amqpbeat.FileStore{Path: info.ScheduleFilename + ".records"}
	default:
		return nil, usageError("--election=redis does not go with RabbitMQ: the records of the ticks would have no place that all replicas see; use --election=kubernetes, or file on one machine")
	}
	sender, err := amqpbroker.New(amqpConfig(info, c.log))
	if err != nil {
		return nil, exitError{exitUsage, err}
	}
	return amqpbeat.New(sender, amqpbeat.Config{Store: store, Log: c.log}), nil
}

func redisConfig(info app.Info, log *zap.Logger) redisbroker.Config {
	cfg := redisbroker.Defaults()
	cfg.URLs, cfg.TransportOptions, cfg.UseSSL, cfg.Log = info.Broker.URLs, info.Broker.TransportOptions, info.Broker.UseSSL, log
	if info.Broker.FailoverStrategy != "" {
		cfg.FailoverStrategy = info.Broker.FailoverStrategy
	}
	if timeout := setting(info.Conf, "broker_connection_timeout", 0.0); timeout > 0 {
		cfg.ConnectTimeout = time.Duration(timeout * float64(time.Second))
	}
	return cfg
}

func amqpConfig(info app.Info, log *zap.Logger) amqpbroker.Config {
	cfg := amqpbroker.Defaults()
	cfg.URLs, cfg.TransportOptions, cfg.UseSSL, cfg.Log, cfg.Name = info.Broker.URLs, info.Broker.TransportOptions, info.Broker.UseSSL, log, "crisper beat"
	if info.Broker.FailoverStrategy != "" {
		cfg.FailoverStrategy = info.Broker.FailoverStrategy
	}
	if timeout := setting(info.Conf, "broker_connection_timeout", 0.0); timeout > 0 {
		cfg.ConnectTimeout = time.Duration(timeout * float64(time.Second))
	}
	if method := setting(info.Conf, "broker_login_method", ""); method != "" {
		cfg.LoginMethod = method
	}
	if beats := setting(info.Conf, "broker_heartbeat", -1.0); beats >= 0 {
		cfg.Heartbeat = time.Duration(beats * float64(time.Second))
	}
	return cfg
}

// setting reads one setting of the app; fallback when it is None or missing.
func setting[T any](conf map[string]json.RawMessage, name string, fallback T) T {
	var value *T
	if err := json.Unmarshal(conf[name], &value); err != nil || value == nil {
		return fallback
	}
	return *value
}
