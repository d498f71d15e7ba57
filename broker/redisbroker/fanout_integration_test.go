//go:build integration

package redisbroker

import (
	"testing"

	"crisper/broker"
	"crisper/broker/brokertest"
)

func TestFanoutOnRedis(t *testing.T) { exerciseFanout(t, spawn(t).server()) }

func TestListeningGoesOnAfterARestart(t *testing.T) {
	p := spawn(t)
	s := p.server()
	w := s.answers(t, "w")
	p.kill()
	brokertest.Await[broker.Disconnected](w)
	p.start()
	brokertest.Await[broker.Connected](w)
	replies, err := w.Consumer.(broker.Fanout).Ask(t.Context(), "reply.celery.pidbox", question)
	if err != nil || len(replies) != 1 {
		t.Errorf("%d replies, %v", len(replies), err)
	}
}
