package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/agent"
)

func redisInfo(url string) agent.Info {
	return agent.Info{
		Hostname: "celery@test", Broker: agent.Broker{URLs: []string{url}},
		Queues: []broker.Queue{{Name: "celery", Exchange: "celery", ExchangeType: "direct", RoutingKey: "celery"}},
		Conf: map[string]json.RawMessage{
			"broker_connection_timeout": json.RawMessage("2.5"), "broker_connection_max_retries": json.RawMessage("null"),
			"broker_connection_retry": json.RawMessage("true"), "broker_connection_retry_on_startup": json.RawMessage("null"),
		},
	}
}

func TestSettingsAreReadWithCelerysNone(t *testing.T) {
	info := redisInfo("redis://h")
	if got := conf(info, "broker_connection_timeout", 0.0); got != 2.5 {
		t.Errorf("timeout %v", got)
	}
	if got := conf(info, "broker_connection_max_retries", 7); got != 7 {
		t.Errorf("None is %d", got)
	}
	if got := conf(info, "missing", true); !got {
		t.Error("a missing setting is not its fallback")
	}
}

func TestTheBacklogOfARealServerIsMeasured(t *testing.T) {
	server := miniredis.RunT(t)
	_, _ = server.Push("celery", `{"headers":{}}`)
	_, _ = server.Push("celery", `{"headers":{}}`)
	tr := newTrial(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	backlogs, err := tr.measure(ctx, redisInfo("redis://"+server.Addr()+"/0"))
	if err != nil || backlogs["celery"].Ready != 2 {
		t.Errorf("%+v, %v", backlogs, err)
	}
}

func TestAWrongPasswordIsSaidWithoutTheUrl(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("right")
	tr := newTrial(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := tr.measure(ctx, redisInfo("redis://:hunter2@"+server.Addr()+"/0"))
	if !errors.Is(err, broker.ErrRefused) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

func TestBadBrokerSettingsAreAMistakeOfTheUser(t *testing.T) {
	_, err := openBroker(redisInfo("sentinel://h:26379"), "w", zap.NewNop())
	if err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), "master_name") {
		t.Errorf("%v", err)
	}
}
