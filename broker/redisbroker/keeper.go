package redisbroker

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

var (
	//go:embed lua/keep.lua
	keepText string
	//go:embed lua/giveback.lua
	giveBackText string

	keepScript     = script(keepText)
	giveBackScript = script(giveBackText)
)

// Keeper implements broker.Keeper: it looks after what stock workers have in hand.
// It connects when it is first asked, and anew after any failure, to the next server.
//
// Scores are Unix time by this machine's clock, as kombu's are; the worker that is
// looked after runs on it too.
type Keeper struct {
	c *Consumer

	mu   sync.Mutex // guards what follows; one request at a time
	s    *session   // nil: not connected
	node int
}

// NewKeeper reads the same Config as New; WorkerID and Queues are not needed.
func NewKeeper(cfg Config) (*Keeper, error) {
	cfg.WorkerID, cfg.Queues = "keeper", nil // never written
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return &Keeper{c: c}, nil
}

// Visibility implements broker.Keeper.
func (k *Keeper) Visibility() time.Duration { return k.c.cfg.options.visibility }

// Close ends the connection.
func (k *Keeper) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop()
}

func (k *Keeper) drop() {
	if k.s != nil {
		k.s.close()
		k.s = nil
	}
}

// with calls do with a session. After a failure the next server is tried next time:
// the caller asks again anyway.
func (k *Keeper) with(ctx context.Context, what string, do func(ctx context.Context, s *session) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, k.c.cfg.ConnectTimeout+callTimeout)
	defer cancel()
	var err error
	if k.s == nil {
		k.s, err = k.c.open(ctx, k.node)
	}
	if err == nil {
		err = do(ctx, k.s)
	}
	if err == nil {
		return nil
	}
	k.drop()
	server := k.c.cfg.nodes[k.node].server()
	k.node = (k.node + 1) % len(k.c.cfg.nodes)
	return fmt.Errorf("cannot %s at %s: %w", what, server, classify(err))
}

// Ready implements broker.Keeper.
func (k *Keeper) Ready(ctx context.Context, queues []string) (map[string]int64, error) {
	ready := make(map[string]int64, len(queues))
	err := k.with(ctx, "count what waits", func(ctx context.Context, s *session) error {
		lists := k.c.cfg.keys.lists(queues)
		lengths := make([]*redis.IntCmd, len(lists))
		_, err := s.requests.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, list := range lists {
				lengths[i] = p.LLen(ctx, list)
			}
			return nil
		})
		for i, n := range lengths {
			ready[queues[i%len(queues)]] += n.Val()
		}
		return err
	})
	return ready, err
}

// Renew implements broker.Keeper.
func (k *Keeper) Renew(ctx context.Context, held []broker.Held) ([]float64, error) {
	var scores []float64
	err := k.with(ctx, "renew deliveries", func(ctx context.Context, s *session) error {
		scores = scores[:0]
		for _, part := range parts(held) {
			got, err := k.renewPart(ctx, s, part)
			if err != nil {
				return err
			}
			scores = append(scores, got...)
		}
		return nil
	})
	return scores, err
}

// renewPart gives scores a microsecond apart, so that whoever restores them keeps
// their order.
func (k *Keeper) renewPart(ctx context.Context, s *session, part []broker.Held) ([]float64, error) {
	now := time.Now().UnixMicro()
	args := make([]any, 0, 4*len(part))
	scores := make([]float64, len(part))
	for i, h := range part {
		text := strconv.FormatFloat(float64(now+int64(i))/1e6, 'f', 6, 64)
		scores[i], _ = strconv.ParseFloat(text, 64) // what was just formatted
		low, high := bounds(h)
		args = append(args, string(h.Tag), low, high, text)
	}
	reply, err := s.eval(ctx, keepScript, []string{k.c.cfg.keys.index}, args...)
	if err != nil {
		return nil, err
	}
	if len(reply) != len(part) {
		return nil, errors.New("the broker answers nonsense")
	}
	for i, r := range reply {
		if n := integer(r); n < 1 {
			scores[i] = float64(n)
		}
	}
	return scores, nil
}

func bounds(h broker.Held) (low, high string) {
	low, high = strconv.FormatFloat(h.Low-scoreSlack, 'f', 6, 64), "+inf"
	if h.High > 0 {
		high = strconv.FormatFloat(h.High+scoreSlack, 'f', 6, 64)
	}
	return low, high
}

// Restore implements broker.Keeper.
func (k *Keeper) Restore(ctx context.Context, held []broker.Held) ([]broker.Returned, error) {
	var done []broker.Returned
	err := k.with(ctx, "give deliveries back", func(ctx context.Context, s *session) error {
		newestFirst := make([]broker.Held, 0, len(held))
		for i := len(held) - 1; i >= 0; i-- {
			newestFirst = append(newestFirst, held[i])
		}
		for _, part := range parts(newestFirst) {
			returned, err := k.restorePart(ctx, s, part)
			done = append(done, returned...)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
}

// move is one delivery on its way back.
type move struct {
	broker.Held
	broker.Returned
	verb    string
	payload []byte
	lists   []string
}

func (k *Keeper) restorePart(ctx context.Context, s *session, part []broker.Held) ([]broker.Returned, error) {
	list := make([]owned, len(part))
	for i, h := range part {
		list[i].tag = string(h.Tag)
	}
	if err := k.c.loadPayloads(ctx, s, list); err != nil {
		return nil, err
	}
	var moves []move
	for i, o := range list {
		if !o.there {
			continue // acknowledged, or restored by somebody
		}
		m, ok, err := k.moveOf(ctx, s, part[i], o)
		if err != nil {
			return nil, err
		}
		if ok {
			moves = append(moves, m)
		}
	}
	return k.carryOut(ctx, s, moves)
}

// moveOf decides where a delivery goes.
func (k *Keeper) moveOf(ctx context.Context, s *session, h broker.Held, o owned) (move, bool, error) {
	envelope := celerymsg.ParseEnvelope(o.record.payload)
	m := move{Held: h, Returned: broker.Returned{Tag: h.Tag, Deaths: envelope.Deaths, Acked: h.Done}, verb: "RPUSH"}
	if h.Done {
		return m, true, nil // to no list
	}
	queues, err := k.c.lookup(ctx, s, o.record)
	if err != nil {
		return m, false, err
	}
	if h.Died {
		m.Deaths++
	}
	if len(queues) == 0 {
		// It stays where it is: it may be wanted when the binding is back.
		k.c.cfg.Log.Warn("cannot restore a delivery: no queue is bound for it",
			zap.String("exchange", o.record.exchange), zap.String("routing_key", o.record.routingKey))
		return m, false, nil
	}
	m.Queue = queues[0]
	if m.Parked = h.Died && h.Limit > 0 && m.Deaths >= h.Limit; m.Parked {
		m.verb, m.lists = "LPUSH", []string{k.c.cfg.keys.deadLetter}
		v := verdict{hold: &hold{queue: m.Queue, raw: o.record.payload}}
		v.Deaths, v.Reason = m.Deaths, fmt.Sprintf("Message was parked: %d workers died while running it (poison limit %d).", m.Deaths, h.Limit)
		m.payload = parked(v, time.Now())
		return m, true, nil
	}
	for _, q := range queues {
		m.lists = append(m.lists, k.c.cfg.keys.list(q, envelope.Priority))
	}
	deaths := 0 // leave the count as it is
	if h.Died {
		deaths = m.Deaths
	}
	m.payload = celerymsg.MarkRestored(o.record.payload, deaths)
	return m, true, nil
}

func (k *Keeper) carryOut(ctx context.Context, s *session, moves []move) (done []broker.Returned, err error) {
	if len(moves) == 0 {
		return nil, nil
	}
	keys := []string{k.c.cfg.keys.unacked, k.c.cfg.keys.index}
	var args []any
	for _, m := range moves {
		low, high := bounds(m.Held)
		args = append(args, string(m.Held.Tag), low, high, m.verb, m.payload, len(m.lists))
		for _, list := range m.lists {
			keys = append(keys, list)
			args = append(args, len(keys)-2)
		}
	}
	reply, err := s.eval(ctx, giveBackScript, keys, args...)
	if err != nil {
		return nil, err
	}
	for i, r := range reply {
		if i < len(moves) && integer(r) == 1 {
			done = append(done, moves[i].Returned)
		}
	}
	return done, nil
}

// loadPayloads is load without scores, which servers before 6.2 do not give in lists.
func (c *Consumer) loadPayloads(ctx context.Context, s *session, list []owned) error {
	tags := make([]string, len(list))
	for i, o := range list {
		tags[i] = o.tag
	}
	values, err := s.requests.HMGet(ctx, c.cfg.keys.unacked, tags...).Result()
	if err != nil {
		return s.judge(err)
	}
	for i, v := range values {
		if text, ok := v.(string); ok {
			list[i].record, list[i].there = parseRecord([]byte(text))
		}
	}
	return nil
}

var _ broker.Keeper = (*Keeper)(nil)
