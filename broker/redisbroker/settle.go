package redisbroker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

// verdict is what becomes of one hold by one batch.
type verdict struct {
	broker.Settlement
	hold *hold
}

func (v verdict) ends() bool { return v.Verb != broker.Begin && v.Verb != broker.Accept }

// Settle implements broker.Consumer.
func (c *Consumer) Settle(ctx context.Context, batch []broker.Settlement) ([]broker.Tag, error) {
	s, err := c.current()
	if err != nil {
		return nil, err
	}
	if err := c.doubtful(ctx, s); err != nil {
		return nil, err
	}
	verdicts, gone := c.verdicts(batch)
	for _, part := range parts(verdicts) {
		lost, err := c.settlePart(ctx, s, part)
		if err != nil {
			return nil, fmt.Errorf("cannot settle deliveries: %w", err)
		}
		gone = append(gone, lost...)
	}
	return gone, nil
}

// verdicts merges what a batch says of the same delivery: the last word counts,
// the first one that ends it is the last. Tags that are not in hand are gone,
// or were settled by an earlier call whose answer was lost.
func (c *Consumer) verdicts(batch []broker.Settlement) (verdicts []verdict, gone []broker.Tag) {
	at := make(map[broker.Tag]int, len(batch))
	for _, b := range batch {
		if i, ok := at[b.Tag]; ok {
			if i >= 0 && !verdicts[i].ends() {
				verdicts[i].Settlement = b
			}
			continue
		}
		h := c.hands.get(b.Tag)
		if h == nil {
			at[b.Tag] = -1
			gone = append(gone, b.Tag)
			continue
		}
		at[b.Tag] = len(verdicts)
		verdicts = append(verdicts, verdict{b, h})
	}
	return order(verdicts), gone
}

// order puts verdicts as the script wants them: those that end, accepts, begins,
// moves; among moves those that go back to the front newest first, so that the
// oldest is the next to be taken.
func order(verdicts []verdict) []verdict {
	slices.SortStableFunc(verdicts, func(a, b verdict) int {
		if d := group(a.Verb) - group(b.Verb); d != 0 {
			return d
		}
		if a.Verb == broker.Restore && b.Verb == broker.Restore {
			if a.hold.seq > b.hold.seq {
				return -1
			}
			return 1
		}
		return 0
	})
	return verdicts
}

func group(v broker.Verb) int {
	switch v {
	case broker.Ack, broker.Reject:
		return 0
	case broker.Accept:
		return 1
	case broker.Begin:
		return 2
	case broker.Restore:
		return 4
	default:
		return 3
	}
}

// parts cuts a batch into script calls.
func parts[T any](list []T) [][]T { return slices.Collect(slices.Chunk(list, page)) }

func (c *Consumer) settlePart(ctx context.Context, s *session, part []verdict) (gone []broker.Tag, err error) {
	keys, args := c.settleCall(part)
	doubted := c.hands.doubt(part)
	reply, err := s.eval(ctx, settleScript, keys, args...)
	if err != nil {
		if !errors.Is(err, broker.ErrUnavailable) {
			c.hands.trust(part, doubted)
		}
		return nil, err
	}
	missing := make(map[int64]bool, len(reply))
	for _, i := range reply {
		missing[integer(i)] = true
	}
	for i, v := range part {
		lost := missing[int64(i)]
		if lost && !doubted[i] {
			gone = append(gone, v.Tag)
		}
		if lost || v.ends() {
			c.hands.drop(v.hold)
		}
	}
	return gone, nil
}

func (c *Consumer) settleCall(part []verdict) (keys []string, args []any) {
	k := c.cfg.keys
	keys = []string{k.unacked, k.index, k.owners, k.presence}
	args = make([]any, 6, 6+len(part))
	var counts [4]int // ends, accepts, begins, moves
	var moves []any
	lists := map[string]int{}
	number := func(key string) int {
		if lists[key] == 0 {
			keys = append(keys, key)
			lists[key] = len(keys) - 4
		}
		return lists[key]
	}
	for _, v := range part {
		args = append(args, string(v.Tag))
		counts[min(group(v.Verb), 3)]++
		switch v.Verb {
		case broker.Requeue:
			moves = append(moves, "LPUSH", number(v.hold.list), celerymsg.MarkRestored(v.hold.raw, v.Deaths))
		case broker.Restore:
			moves = append(moves, "RPUSH", number(v.hold.list), celerymsg.MarkRestored(v.hold.raw, v.Deaths))
		case broker.Park:
			moves = append(moves, "LPUSH", number(k.deadLetter), parked(v, time.Now()))
		}
	}
	args[0], args[1] = c.cfg.WorkerID, c.cfg.Presence.Milliseconds()
	for i, n := range counts {
		args[2+i] = n
	}
	return keys, append(args, moves...)
}

// deadLetter is an element of the dead-letter list.
type deadLetter struct {
	Reason  string          `json:"reason"`
	Queue   string          `json:"queue"`
	Deaths  int             `json:"deaths"`
	At      float64         `json:"at"` // Unix time
	Payload json.RawMessage `json:"payload,omitempty"`
	// Text holds a payload that is no JSON; bytes that are no UTF-8 are replaced.
	Text string `json:"text,omitempty"`
}

func parked(v verdict, now time.Time) []byte {
	letter := deadLetter{Reason: v.Reason, Queue: v.hold.queue, Deaths: v.Deaths, At: float64(now.UnixMilli()) / 1e3}
	if json.Valid(v.hold.raw) {
		letter.Payload = v.hold.raw
	} else {
		letter.Text = string(v.hold.raw)
	}
	text, _ := json.Marshal(letter) // valid JSON and strings cannot fail
	return text
}
