package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

// owned is an entry of the owners hash, with what else is known of the delivery.
type owned struct {
	tag, value string
	score      float64
	record     record
	there      bool
}

// ownerID is the worker in an owner value, without the suffix that says how far
// it has come: none = reserved, + = late-ack task begun, ! = early-ack task begun,
// = the same in the moment of taking.
func ownerID(value string) string { return strings.TrimRight(value, "+!=") }

// sweep restores what dead peers held and what stock workers left behind.
func (c *Consumer) sweep(ctx context.Context, s *session, dead <-chan []expired) {
	visible := time.NewTimer(0) // Celery: one sweep at start
	defer visible.Stop()
	late := time.NewTimer(callTimeout) // a lost request may still lie in the server's buffer
	defer late.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case list := <-dead:
			err = c.restoreDead(ctx, s, list)
		case <-visible.C:
			err = errors.Join(c.restoreVisible(ctx, s), c.suspect(ctx, s))
			visible.Reset(c.cfg.options.restoreEvery())
		case <-late.C:
			err = c.reconcile(ctx, s)
			late.Reset(callTimeout)
		}
		if err != nil && ctx.Err() == nil {
			c.cfg.Log.Warn("cannot restore deliveries", zap.Error(err))
		}
	}
}

// owners reads the owners hash in pages and groups the wanted ones by worker.
func (c *Consumer) owners(ctx context.Context, s *session, wanted func(id string) bool) (map[string][]owned, error) {
	found := map[string][]owned{}
	seen := map[string]bool{} // a scan may return an entry twice
	var cursor uint64
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		entries, next, err := s.requests.HScan(call, c.cfg.keys.owners, cursor, "", 1000).Result()
		cancel()
		if err != nil {
			return nil, s.judge(err)
		}
		for i := 0; i+1 < len(entries); i += 2 {
			tag, value := entries[i], entries[i+1]
			if id := ownerID(value); !seen[tag] && wanted(id) {
				seen[tag] = true
				found[id] = append(found[id], owned{tag: tag, value: value})
			}
		}
		if next == 0 {
			return found, nil
		}
		cursor = next
	}
}

// restoreDead sees to all that the listed workers held.
func (c *Consumer) restoreDead(ctx context.Context, s *session, list []expired) error {
	names := map[string]bool{}
	for _, e := range list {
		names[e.id] = true
	}
	held, err := c.owners(ctx, s, func(id string) bool { return names[id] })
	if err != nil {
		return fmt.Errorf("cannot read the deliveries of dead peers: %w", err)
	}
	for _, e := range list {
		alive, err := c.adopt(ctx, s, e.id, held[e.id], true)
		if err != nil {
			return fmt.Errorf("cannot restore the deliveries of %s: %w", e.id, err)
		}
		if alive {
			continue
		}
		if _, err := s.evalInt(ctx, buryScript, []string{c.cfg.keys.presence}, e.id); err != nil {
			return fmt.Errorf("cannot forget %s: %w", e.id, err)
		}
	}
	return nil
}

// reconcile restores what is booked on us and not in our hands: a take, or the
// adoption of an orphan, whose answer was lost.
func (c *Consumer) reconcile(ctx context.Context, s *session) error {
	if c.lostTakes.Load() == 0 {
		return nil
	}
	c.taking.Lock() // a take in progress has deliveries that are not in hand yet
	defer c.taking.Unlock()
	held, err := c.owners(ctx, s, func(id string) bool { return id == c.cfg.WorkerID })
	if err != nil {
		return err
	}
	var lost []owned
	for _, o := range held[c.cfg.WorkerID] {
		if c.hands.get(broker.Tag(o.tag)) == nil {
			lost = append(lost, o)
		}
	}
	_, err = c.adopt(ctx, s, c.cfg.WorkerID, lost, false)
	if err == nil {
		// The request may be carried out only now: looked for twice more.
		c.lostTakes.Add(-1)
	}
	return err
}

// adopt restores or takes over deliveries of one worker, newest first. alive says
// that it has come back.
func (c *Consumer) adopt(ctx context.Context, s *session, id string, list []owned, peer bool) (alive bool, err error) {
	if err := c.load(ctx, s, list); err != nil {
		return false, err
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].score > list[j].score })
	restored := 0
	defer func() {
		if restored > 0 && peer {
			c.box.send(broker.PeerRestored{Peer: id, Count: restored})
		}
	}()
	for _, part := range parts(list) {
		n, alive, err := c.adoptPart(ctx, s, id, part, peer)
		restored += n
		if alive || err != nil {
			return alive, err
		}
	}
	return false, nil
}

func (c *Consumer) adoptPart(ctx context.Context, s *session, id string, part []owned, peer bool) (restored int, alive bool, err error) {
	k := c.cfg.keys
	keys := []string{k.presence, k.unacked, k.index, k.owners}
	strict := "0"
	if peer {
		strict = "1"
	}
	args := append(make([]any, 0, 3+4*len(part)), id, c.cfg.WorkerID, strict)
	queues := make([]string, len(part))
	for i, o := range part {
		deaths := 0
		m := celerymsg.ParseEnvelope(o.record.payload)
		if peer && strings.HasSuffix(o.value, "+") {
			deaths = m.Deaths + 1
		}
		names, err := c.lookup(ctx, s, o.record)
		if err != nil {
			return 0, false, err
		}
		queues[i] = o.record.routingKey
		if len(names) > 0 {
			queues[i] = names[0]
		}
		keys = append(keys, k.list(queues[i], m.Priority))
		args = append(args, o.tag, o.value, len(keys)-4, celerymsg.MarkRestored(o.record.payload, deaths))
	}
	reply, err := s.eval(ctx, adoptScript, keys, args...)
	if err != nil {
		c.lostTakes.Store(3) // orphans may be booked on us
		return 0, false, err
	}
	if len(reply) == 0 || integer(reply[0]) < 0 {
		return 0, true, nil
	}
	c.orphaned(id, part, queues, reply[1:])
	return int(integer(reply[0])), false, nil
}

// orphaned takes into our hands what a dead peer had begun and nobody may run again.
func (c *Consumer) orphaned(peer string, part []owned, queues []string, positions []any) {
	if len(positions) == 0 {
		return
	}
	var event broker.Orphaned
	event.Peer = peer
	var holds []*hold
	for _, at := range positions {
		o, queue := part[integer(at)], queues[integer(at)]
		d := delivery(broker.Tag(o.tag), queue, o.record.payload)
		event.Deliveries = append(event.Deliveries, d)
		holds = append(holds, &hold{tag: d.Tag, raw: o.record.payload, queue: queue, list: c.cfg.keys.list(queue, d.Message.Priority)})
	}
	c.hands.add(holds)
	c.box.send(event)
}

// load reads payloads and scores.
func (c *Consumer) load(ctx context.Context, s *session, list []owned) error {
	for _, part := range parts(list) {
		tags := make([]string, len(part))
		for i, o := range part {
			tags[i] = o.tag
		}
		call, cancel := context.WithTimeout(ctx, callTimeout)
		values, err := s.requests.HMGet(call, c.cfg.keys.unacked, tags...).Result()
		if err == nil {
			var scores []float64
			scores, err = s.requests.ZMScore(call, c.cfg.keys.index, tags...).Result()
			for i := range scores {
				part[i].score = scores[i]
			}
		}
		cancel()
		if err != nil {
			return s.judge(err)
		}
		for i, v := range values {
			if text, ok := v.(string); ok {
				part[i].record, part[i].there = parseRecord([]byte(text))
			}
		}
	}
	return nil
}

// suspect gives workers that own something and are not listed a period to show
// themselves; those that do not are then found dead.
func (c *Consumer) suspect(ctx context.Context, s *session) error {
	known, err := s.requests.ZRange(ctx, c.cfg.keys.presence, 0, -1).Result()
	if err != nil {
		return s.judge(err)
	}
	listed := map[string]bool{}
	for _, id := range known {
		listed[id] = true
	}
	held, err := c.owners(ctx, s, func(id string) bool { return !listed[id] })
	if err != nil || len(held) == 0 {
		return err
	}
	args := []any{c.cfg.Presence.Milliseconds()}
	for id := range held {
		args = append(args, id)
	}
	_, err = s.evalInt(ctx, suspectScript, []string{c.cfg.keys.presence}, args...)
	return err
}
