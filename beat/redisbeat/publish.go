package redisbeat

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"crisper/beat"
	"crisper/beat/message"
)

// tickKey is a tick as one request knows it.
type tickKey struct {
	entry, task string
	due         int64
}

func keyOf(b beat.Publication) tickKey {
	return tickKey{b.Tick.Entry, b.Message.TaskID, b.Tick.Due.UnixMicro()}
}

// Publish implements beat.Publisher.
func (p *Publisher) Publish(ctx context.Context, token uint64, batch []beat.Publication) ([]beat.Outcome, error) {
	outcomes, rest := make([]beat.Outcome, 0, len(batch)), batch
	for first := true; first || len(rest) > 0; first = false { // an empty batch checks the token, too
		page := rest[:min(publishPage, len(rest))]
		rest = rest[len(page):]
		part, err := p.publishPage(ctx, token, page)
		if err != nil {
			if errors.Is(err, beat.ErrUnavailable) {
				for _, b := range batch { // also what earlier pages have sent: the batch is repeated as a whole
					p.doubt[keyOf(b)] = true
				}
			}
			return nil, fmt.Errorf("cannot publish %d ticks: %w", len(batch), err)
		}
		outcomes = append(outcomes, part...)
	}
	for _, b := range batch { // only these: another request may be without an answer yet
		delete(p.doubt, keyOf(b))
	}
	return outcomes, nil
}

func (p *Publisher) publishPage(ctx context.Context, token uint64, page []beat.Publication) ([]beat.Outcome, error) {
	var answer []string
	err := p.call(ctx, func(ctx context.Context, c *redis.Client) error {
		bindings, err := p.prepare(ctx, c, page)
		if err != nil {
			return err
		}
		r := newRequest(p, token, len(page))
		for _, b := range page {
			r.add(b, p.places(b.Message, bindings))
		}
		r.renew()
		answer, err = eval(ctx, c, publishScript, r.keys, r.args)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(answer) != len(page) {
		return nil, fmt.Errorf("%d answers to %d ticks", len(answer), len(page))
	}
	outcomes := make([]beat.Outcome, len(page))
	for i, b := range page {
		outcomes[i] = p.outcome(token, b, answer[i])
	}
	return outcomes, nil
}

// outcome reads the script's answer about one tick.
func (p *Publisher) outcome(token uint64, b beat.Publication, answer string) beat.Outcome {
	switch answer[0] {
	case 'P':
		return beat.Published
	case 'A':
		// A request of ours that was not answered may have been the one that sent it. The
		// record can be of a later tick of the same request.
		r, err := parseRecord(answer[1:])
		last := r.last == b.Tick.Due.UnixMicro()
		if err == nil && p.doubt[keyOf(b)] && r.token == token && (!last || r.task == b.Message.TaskID) {
			return beat.Published
		}
		return beat.Already
	case 'E':
		p.lost(b, answer[1:])
	case 'U':
		if !b.Message.Unmade() { // who could not make it has told so
			p.lost(b, "no queue takes it")
		}
	}
	return beat.Unroutable
}

// lost names a tick that went nowhere.
func (p *Publisher) lost(b beat.Publication, why string) {
	p.cfg.Log.Warn("a tick could not be sent", zap.String("entry", b.Tick.Entry), zap.String("exchange", b.Message.Exchange),
		zap.String("routing_key", b.Message.RoutingKey), zap.String("error", why))
}

// place is where one copy of a message goes.
type place struct{ queue, channel string }

// places are found as kombu's virtual channel finds them.
func (p *Publisher) places(m message.Message, bindings map[string][]string) []place {
	var queues []string
	switch {
	case m.Exchange == "" && m.RoutingKey != "":
		queues = []string{m.RoutingKey}
	case m.Exchange == "":
	case m.ExchangeType == "fanout":
		var all []place
		for _, channel := range p.access.Channels(p.node, m.Exchange, m.RoutingKey) {
			all = append(all, place{channel: channel})
		}
		return all
	case routed(m.ExchangeType):
		queues = p.access.Match(m.ExchangeType, m.RoutingKey, bindings[m.Exchange])
	}
	all := make([]place, len(queues))
	for i, q := range queues {
		all[i] = place{queue: q}
	}
	return all
}

// routed: by bindings. An exchange without a type is a direct one, as in kombu.
func routed(exchangeType string) bool {
	return exchangeType == "direct" || exchangeType == "topic" || exchangeType == ""
}

// request collects the arguments of one call of the script.
type request struct {
	p      *Publisher
	token  uint64
	keys   []string
	number map[string]int // of the lists among the keys
	args   []any
	expire map[string]bool // queues that messages went to and that expire
}

func newRequest(p *Publisher, token uint64, ticks int) *request {
	r := &request{p: p, token: token, keys: []string{p.token, p.record}, number: map[string]int{}, expire: map[string]bool{}}
	r.args = append(make([]any, 0, 2+6*ticks), strconv.FormatUint(token, 10), ticks)
	return r
}

func (r *request) list(key string) string {
	if r.number[key] == 0 {
		r.keys = append(r.keys, key)
		r.number[key] = len(r.keys)
	}
	return strconv.Itoa(r.number[key])
}

func (r *request) add(b beat.Publication, places []place) {
	tail := record{count: b.Tick.Count, token: r.token, task: b.Message.TaskID}.tail()
	r.args = append(r.args, b.Tick.Entry, b.Tick.Due.UnixMicro(), tail, len(places))
	for _, at := range places {
		if at.channel != "" {
			r.args = append(r.args, "C"+at.channel)
			continue
		}
		r.args = append(r.args, "L"+r.list(r.p.access.List(at.queue, b.Message.Priority)))
		if r.p.expires[at.queue] != "" {
			r.expire[at.queue] = true
		}
	}
	r.args = append(r.args, b.Message.Envelope)
}

// renew asks for the lifetimes of the queues that messages go to.
func (r *request) renew() {
	for queue := range r.expire {
		for _, list := range r.p.access.Lists(queue) {
			r.args = append(r.args, r.list(list), r.p.expires[queue])
		}
	}
}
