package redisbroker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

// scanLimit bounds the unacked values that one measurement reads. Where there are
// more, the counts are scaled up from those that were read.
const scanLimit = 5000

// tail is the oldest message of a list, and when it was first seen there.
type tail struct {
	print [sha256.Size]byte
	since time.Time
}

// tails remembers the oldest message of each list between measurements: kombu
// writes no time into a message.
type tails struct {
	mu    sync.Mutex // guards first
	first map[string]tail
}

// age is the age of the oldest message of a list as far as it is known: since it
// was seen first, or since the time that a header of it names.
func (t *tails) age(list string, payload []byte, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if payload == nil {
		delete(t.first, list)
		return 0
	}
	print := sha256.Sum256(payload)
	if t.first[list].print != print {
		t.first[list] = tail{print: print, since: now}
	}
	return max(now.Sub(t.first[list].since), published(payload, now), 0)
}

// published is the age by the one header with a time of publishing that is in
// wide use (Sentry's Celery integration writes it); 0 when there is none.
func published(payload []byte, now time.Time) time.Duration {
	var headers struct {
		At json.Number `json:"sentry-task-enqueued-time"`
	}
	if json.Unmarshal(celerymsg.ParseEnvelope(payload).Headers, &headers) != nil {
		return 0
	}
	at, err := strconv.ParseFloat(headers.At.String(), 64)
	if err != nil || at <= 0 || at > 1e11 {
		return 0
	}
	return now.Sub(time.UnixMicro(int64(at * 1e6)))
}

// Backlog implements broker.Consumer.
func (c *Consumer) Backlog(ctx context.Context) (map[string]broker.Backlog, error) {
	s, err := c.current()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	backlogs, err := c.backlog(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("cannot measure the backlog: %w", s.judge(err))
	}
	return backlogs, nil
}

// MeasureBacklog connects, measures once and leaves no trace. The age of the
// oldest message is 0 unless the message itself names a time.
func MeasureBacklog(ctx context.Context, cfg Config) (map[string]broker.Backlog, error) {
	if cfg.WorkerID == "" {
		cfg.WorkerID = "measuring" // never written
	}
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i := range c.cfg.nodes {
		backlogs, err := c.measureAt(ctx, i)
		if err == nil {
			return backlogs, nil
		}
		errs = append(errs, fmt.Errorf("cannot measure the backlog at %s: %w", c.cfg.nodes[i].server(), classify(err)))
	}
	return nil, errors.Join(errs...)
}

func (c *Consumer) measureAt(ctx context.Context, node int) (map[string]broker.Backlog, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout+callTimeout)
	defer cancel()
	s, err := c.open(ctx, node)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return c.backlog(ctx, s)
}

func (c *Consumer) backlog(ctx context.Context, s *session) (map[string]broker.Backlog, error) {
	backlogs, all, err := c.waiting(ctx, s)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	own := c.hands.all()
	count := func(queue string, eta time.Time, weight int64) {
		b, consumed := backlogs[queue]
		if !consumed {
			return
		}
		if eta.After(now) {
			b.Scheduled += weight
		} else {
			b.Unacked += weight
		}
		backlogs[queue] = b
	}
	for _, h := range own {
		count(h.queue, h.eta, 1)
	}
	if all <= int64(len(own)) {
		return backlogs, nil // nobody else holds anything
	}
	return backlogs, c.others(ctx, s, own, all, count)
}

// waiting counts what waits, and all that is unacked in the database.
func (c *Consumer) waiting(ctx context.Context, s *session) (map[string]broker.Backlog, int64, error) {
	set := c.set.Load()
	lengths := make([]*redis.IntCmd, len(set.lists))
	oldest := make([]*redis.StringCmd, len(set.lists))
	var unacked *redis.IntCmd
	_, err := s.requests.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, list := range set.lists {
			lengths[i], oldest[i] = p.LLen(ctx, list), p.LIndex(ctx, list, -1)
		}
		unacked = p.HLen(ctx, c.cfg.keys.unacked)
		return nil
	})
	if err != nil && !isNil(err) {
		return nil, 0, err
	}
	backlogs := map[string]broker.Backlog{}
	now := time.Now()
	for i, list := range set.lists {
		queue := set.queues[i%len(set.queues)]
		b := backlogs[queue]
		b.Ready += lengths[i].Val()
		var payload []byte
		if oldest[i].Err() == nil {
			payload = []byte(oldest[i].Val())
		}
		b.OldestAge = max(b.OldestAge, c.seen.age(list, payload, now))
		backlogs[queue] = b
	}
	return backlogs, unacked.Val(), nil
}

// others counts what other workers hold, in bounded pages.
func (c *Consumer) others(ctx context.Context, s *session, own []*hold, all int64, count func(string, time.Time, int64)) error {
	mine := make(map[string]bool, len(own))
	for _, h := range own {
		mine[string(h.tag)] = true
	}
	type key struct {
		queue string
		eta   time.Time
	}
	found := map[key]int64{}
	queues := map[string]string{}
	read := int64(0)
	var cursor uint64
	for {
		entries, next, err := s.requests.HScan(ctx, c.cfg.keys.unacked, cursor, "", 200).Result()
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(entries); i += 2 {
			read++
			r, ok := parseRecord([]byte(entries[i+1]))
			if !ok || mine[entries[i]] {
				continue
			}
			m := celerymsg.ParseEnvelope(r.payload)
			queue, err := c.queueOf(ctx, s, r, queues)
			if err != nil {
				return err
			}
			found[key{queue, etaOf(&m)}]++
		}
		if cursor = next; cursor == 0 || read >= scanLimit {
			break
		}
	}
	scale := 1.0
	if cursor != 0 && read > 0 {
		scale = float64(all) / float64(read)
	}
	for k, n := range found {
		count(k.queue, k.eta, int64(float64(n)*scale+0.5))
	}
	return nil
}

func (c *Consumer) queueOf(ctx context.Context, s *session, r record, known map[string]string) (string, error) {
	if r.exchange == "" {
		return r.routingKey, nil
	}
	name := r.exchange + "\x00" + r.routingKey
	if queue, ok := known[name]; ok {
		return queue, nil
	}
	names, err := c.lookup(ctx, s, r)
	if err != nil {
		return "", err
	}
	known[name] = r.routingKey
	if len(names) > 0 {
		known[name] = names[0]
	}
	return known[name], nil
}
