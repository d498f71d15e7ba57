package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"crisper/integration/harness"
)

// queue is the app's, and the list of each priority that it uses.
const queue = "ticks"

var lists = []string{queue, queue + "\x06\x163"}

// redisBroker is a durable redis-server. Nobody takes messages out of it.
type redisBroker struct {
	server *harness.Redis
	done   map[string]int64 // how many messages of each list have been read
}

func startRedis(ctx context.Context, bed *harness.Bed) (broker, error) {
	redis.SetLogger(silent{})
	server, err := bed.StartRedis(ctx, harness.RedisOptions{Durable: true})
	return &redisBroker{server: server}, err
}

func (r *redisBroker) url() string   { return r.server.URL(0) }
func (r *redisBroker) env() []string { return []string{"TICKS_QUEUE=" + queue} }

// silent: that a server which was killed does not answer is no news.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// read: new messages are pushed in front, so those that were read are the last ones.
func (r *redisBroker) read(ctx context.Context, anew bool) ([]message, error) {
	if anew {
		r.done = map[string]int64{}
	}
	pipe := r.server.Client.Pipeline()
	for _, list := range lists {
		pipe.LRange(ctx, list, 0, -r.done[list]-1)
	}
	answers, err := pipe.Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read the queue: %w", err)
	}
	var all []message
	for i, list := range lists {
		texts, err := answers[i].(interface{ Result() ([]string, error) }).Result()
		if err != nil {
			return nil, fmt.Errorf("cannot read the queue: %w", err)
		}
		for j := len(texts) - 1; j >= 0; j-- {
			m, err := readMessage(texts[j])
			if err != nil {
				return nil, err
			}
			all = append(all, m)
		}
		r.done[list] += int64(len(texts))
	}
	return all, nil
}

func readMessage(text string) (message, error) {
	var m struct {
		Headers struct {
			ID     string `json:"id"`
			Origin string `json:"origin"`
		} `json:"headers"`
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil || m.Headers.ID == "" {
		return message{}, fmt.Errorf("cannot read a message: %w", errors.Join(err, errors.New(text)))
	}
	return message{m.Headers.ID, m.Headers.Origin}, nil
}

// breakIt kills the server, or stops it in good order, and starts it again on its data.
func (r *redisBroker) breakIt(ctx context.Context, b *book) error {
	if rand.IntN(2) == 0 {
		r.server.Kill()
	} else if err := r.server.Stop(ctx); err != nil {
		return err
	}
	pause(ctx, 200*time.Millisecond, 2*time.Second)
	defer b.again()
	return r.server.Start(ctx)
}
