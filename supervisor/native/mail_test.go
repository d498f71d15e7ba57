package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"crisper/broker"
	"crisper/broker/celerymsg"
	"crisper/supervisor/agent"
)

// fanoutBroker is the broker of world with events and remote control.
type fanoutBroker struct {
	*memoryBroker
	mails chan broker.Broadcast
	mu    sync.Mutex // guards what follows
	sent  []broker.Publication
	asked int
	// refuse is what Publish answers, answers what Ask does.
	refuse  error
	answers []broker.Broadcast
}

func (b *fanoutBroker) Run(ctx context.Context) error {
	defer close(b.mails)
	return b.memoryBroker.Run(ctx)
}

func (b *fanoutBroker) Listen(string) <-chan broker.Broadcast { return b.mails }

func (b *fanoutBroker) Publish(_ context.Context, batch []broker.Publication) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = append(b.sent, batch...)
	return false, b.refuse
}

func (b *fanoutBroker) Ask(context.Context, string, func(broker.Address) broker.Publication) ([]broker.Broadcast, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	return b.answers, nil
}

// ask sends a command.
func (b *fanoutBroker) ask(method, arguments string) {
	body := fmt.Appendf(nil, `{"method": %q, "arguments": %s, "ticket": "t", "reply_to": {"exchange": "x", "routing_key": "k"}}`, method, arguments)
	b.mails <- broker.Broadcast{Message: celerymsg.Message{Body: body, ContentType: "application/json", Headers: []byte(`{"clock": 41}`)}}
}

// reply waits for the next reply.
func (b *fanoutBroker) reply(t *testing.T) broker.Publication {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) { // nothing tells of a publication
		b.mu.Lock()
		for i, p := range b.sent {
			if p.Direct {
				b.sent = append(b.sent[:i], b.sent[i+1:]...)
				b.mu.Unlock()
				return p
			}
		}
		b.mu.Unlock()
	}
	t.Fatal("no reply")
	return broker.Publication{}
}

// controlled is a world with remote control.
func controlled(t *testing.T, change func(*Config, *fanoutBroker)) (*world, *fanoutBroker) {
	b := &fanoutBroker{mails: make(chan broker.Broadcast, 10)}
	w := newWorldOn(t, func(m *memoryBroker) broker.Consumer { b.memoryBroker = m; return b }, func(c *Config) {
		c.Remote = RemoteConfig{Control: "celery", Exchange: "celeryev", Mingle: true, Limits: true}
		if change != nil {
			change(c, b)
		}
	}, map[string]agent.Task{
		"any":    {SendEvents: true},
		"noack":  {SendEvents: true, AcksLate: true},
		"late":   {SendEvents: true, AcksLate: true, AcksOnFailure: true},
		"silent": {},
	})
	return w, b
}

func TestACommandIsAnsweredWithItsTicketAndALaterClock(t *testing.T) {
	_, b := controlled(t, nil)
	b.ask("ping", `{}`)
	p := b.reply(t)
	if string(p.Body) != `{"celery@test":{"ok":"pong"}}` || p.Exchange != "x" || p.RoutingKey != "k" {
		t.Errorf("%+v: %s", p, p.Body)
	}
	var headers struct {
		Ticket string
		Clock  int
	}
	if err := json.Unmarshal(p.Headers, &headers); err != nil || headers.Ticket != "t" || headers.Clock <= 41 {
		t.Errorf("%s", p.Headers)
	}
}

func TestWhoSendsATaskAndThenAsksForItFindsIt(t *testing.T) {
	w, b := controlled(t, nil)
	for _, method := range []string{"query_task", "scheduled"} {
		b.ask("ping", `{}`) // it has started, and looked into the queue
		b.reply(t)
		w.broker.slip("any", "2999-01-01T00:00:00+00:00") // nothing wakes us
		b.ask(method, `{"ids": ["task-1", "task-2"]}`)
		if p := b.reply(t); !strings.Contains(string(p.Body), fmt.Sprintf("task-%d", w.broker.next)) {
			t.Errorf("%s: %s", method, p.Body)
		}
	}
}

func TestThePoolFollowsRemoteControl(t *testing.T) {
	w, b := controlled(t, nil)
	b.ask("pool_grow", `{"n": 2}`)
	b.reply(t)
	for {
		b.ask("stats", `{}`)
		var said map[string]struct {
			Pool struct{ Processes []int }
		}
		if err := json.Unmarshal(b.reply(t).Body, &said); err != nil {
			t.Fatal(err)
		}
		if len(said["celery@test"].Pool.Processes) == 4 {
			break
		}
	}
	b.ask("shutdown", `{}`)
	if exit := w.leave(); exit != 0 {
		t.Errorf("exit %d", exit)
	}
}

func TestWhatOthersSayIsRevokedDoesNotRun(t *testing.T) {
	w, b := controlled(t, func(_ *Config, b *fanoutBroker) {
		b.answers = []broker.Broadcast{
			{Message: celerymsg.Message{Body: []byte(`{"old@h": {"revoked": {"task-1": [1.5, "task-1"]}, "clock": 100}}`)}},
			{Message: celerymsg.Message{Body: []byte(`{"new@h": {"revoked": ["task-2"], "clock": 7}}`)}},
			{Message: celerymsg.Message{Body: []byte(`{"celery@test": null}`)}},
			{Message: celerymsg.Message{Body: []byte(`nonsense`)}},
		}
	})
	w.publish("any", 3)
	w.broker.until(t, "all are acknowledged", func() bool { return w.broker.verdicts(broker.Ack) == 3 })
	w.zygote.mu.Lock()
	defer w.zygote.mu.Unlock()
	if len(w.zygote.ran) != 1 || w.zygote.ran["task-3"] != 1 {
		t.Errorf("ran %v", w.zygote.ran)
	}
	if b.asked != 1 {
		t.Errorf("asked %d times", b.asked)
	}
}

func TestAWorkerThatMayNotPublishRunsItsTasks(t *testing.T) {
	w, b := controlled(t, func(c *Config, b *fanoutBroker) {
		c.Remote.Events, c.Remote.Heartbeat = true, time.Hour
		b.refuse = fmt.Errorf("%w: NOPERM", broker.ErrRefused)
	})
	w.publish("any", 3)
	w.broker.until(t, "all are acknowledged", func() bool { return w.broker.verdicts(broker.Ack) == 3 })
	b.mu.Lock()
	defer b.mu.Unlock()
	if !errors.Is(b.refuse, broker.ErrRefused) || len(b.sent) == 0 {
		t.Error("nothing was tried")
	}
}

func TestEventsOfATaskLeaveInOrder(t *testing.T) {
	w, b := controlled(t, func(c *Config, _ *fanoutBroker) { c.Remote.Events, c.Remote.Heartbeat = true, time.Hour })
	w.publish("any", 1)
	w.broker.until(t, "it is acknowledged", func() bool { return w.broker.verdicts(broker.Ack) == 1 })
	b.ask("shutdown", `{}`)
	w.leave()
	got := fmt.Sprint(b.kinds())
	if got != "[worker-online task-received task-started task-succeeded worker-offline]" &&
		got != "[task-received worker-online task-started task-succeeded worker-offline]" {
		t.Error(got)
	}
}

// kinds are the types of the events that were sent.
func (b *fanoutBroker) kinds() (kinds []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.sent {
		for _, part := range strings.Split(string(p.Body), `"type": "`)[1:] {
			kinds = append(kinds, part[:strings.IndexByte(part, '"')])
		}
	}
	return kinds
}
