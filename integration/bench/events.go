package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// eventsExperiment is what events cost: the same throughput with -E, while somebody
// listens to all of them, and without. Which of the two comes first changes from one
// time to the next.
func eventsExperiment() experiment {
	runs := 0
	plain, loud := throughput("noop", "-c 2", 1), throughput("noop", "-c 2 -E", 1)
	return experiment{
		name: "events",
		figures: []figure{
			{"no-op tasks with events (`-E`), and a listener", "tasks/s", true, 0, 0},
			{"… of the rate without events", "", true, 0, 0.75},
			{"… CPU per task", "µs", false, 0, 0},
			{"… of the CPU without events", "", false, 0, 0},
		},
		run: func(ctx context.Context, b *bench, s side) ([]float64, error) {
			runs++
			var with, without []float64
			for i := range 2 {
				var err error
				if (runs+i)%2 == 0 {
					without, err = plain(ctx, b, s)
				} else {
					with, err = heard(ctx, b, s, loud)
				}
				if err != nil {
					return nil, err
				}
			}
			return []float64{with[0], with[0] / without[0], with[1], with[1] / without[1]}, nil
		},
	}
}

// heard runs what it is given while a monitor listens, and checks that the monitor
// heard of the beginning and the end of every task.
func heard(ctx context.Context, b *bench, s side, run func(context.Context, *bench, side) ([]float64, error)) ([]float64, error) {
	l := listen(ctx, b.redis.Client)
	values, err := run(ctx, b, s)
	if err != nil {
		l.stop()
		return nil, err
	}
	// The worker has been told to end by now: what it had not sent was sent then.
	got, err := l.counts()
	if err != nil {
		return nil, err
	}
	n := b.counter.sum()
	for _, kind := range []string{"task-received", "task-started", "task-succeeded"} {
		if got[kind] != n {
			return nil, fmt.Errorf("%d tasks ran and %d events %s were heard", n, got[kind], kind)
		}
	}
	return values, nil
}

// listener takes what a monitor takes, and looks at it afterwards: what a monitor does
// with events is not measured.
type listener struct {
	sub  *redis.PubSub
	got  chan []string
	quit context.CancelFunc
}

func listen(ctx context.Context, client *redis.Client) *listener {
	ctx, quit := context.WithCancel(ctx)
	l := &listener{client.PSubscribe(ctx, "/0.celeryev/*"), make(chan []string, 1), quit} // one: it never waits for us
	go l.receive(ctx)
	return l
}

func (l *listener) receive(ctx context.Context) {
	var all []string
	for {
		m, err := l.sub.ReceiveMessage(ctx)
		if err != nil {
			l.got <- all
			return
		}
		all = append(all, m.Payload)
	}
}

func (l *listener) stop() []string {
	l.quit()
	l.sub.Close()
	return <-l.got
}

// counts says how many events of each type have been heard.
func (l *listener) counts() (map[string]int, error) {
	time.Sleep(100 * time.Millisecond) // the socket may hold something still; nothing says when it is empty
	counts := map[string]int{}
	for _, payload := range l.stop() {
		if err := count(payload, counts); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

func count(payload string, into map[string]int) error {
	var envelope struct {
		Body string `json:"body"`
	}
	if err := json.Unmarshal([]byte(payload), &envelope); err != nil {
		return fmt.Errorf("cannot read an event's envelope: %w", err)
	}
	body, err := base64.StdEncoding.DecodeString(envelope.Body)
	if err != nil {
		return fmt.Errorf("cannot read an event's body: %w", err)
	}
	if !bytes.HasPrefix(body, []byte("[")) { // of the worker, not of tasks
		return nil
	}
	var events []struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(body, &events); err != nil {
		return fmt.Errorf("cannot read a list of events: %w", err)
	}
	for _, e := range events {
		into[e.Type]++
	}
	return nil
}
