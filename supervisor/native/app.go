package native

import (
	"time"

	"crisper/broker"
	"crisper/supervisor/agent"
	"crisper/supervisor/consumer"
)

// newConsumer makes the one that decides fates from what the app says; what has
// been revoked is kept through a reload.
func newConsumer(cfg Config, info agent.Info, old *consumer.Consumer) *consumer.Consumer {
	tasks := make(map[string]consumer.Task, len(info.Tasks))
	for name, t := range info.Tasks {
		tasks[name] = consumerTask(t)
	}
	c := consumer.New(consumer.Config{
		Tasks: tasks, Accept: info.Accept, SoftLimit: cfg.SoftLimit, HardLimit: cfg.HardLimit,
		PoisonLimit: cfg.PoisonLimit, RevokesMax: cfg.RevokesMax, RevokeExpires: cfg.RevokeExpires, Timezone: time.UTC, EnableUTC: true,
	})
	c.Inherit(old)
	return c
}

func consumerTask(t agent.Task) consumer.Task {
	return consumer.Task{
		AcksLate: t.AcksLate, AcksOnFailure: t.AcksOnFailure, AcksOnTimeout: t.AcksOnTimeout,
		RejectOnWorkerLost: t.RejectOnWorkerLost, RetryOnWorkerLost: t.RetryOnWorkerLost,
		Soft: seconds(t.SoftTimeLimit), Hard: seconds(t.TimeLimit),
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func verbOf(v consumer.Verdict) broker.Verb {
	switch v {
	case consumer.Reject:
		return broker.Reject
	case consumer.Requeue:
		return broker.Requeue
	}
	return broker.Ack
}
