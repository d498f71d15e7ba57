package amqpbroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"crisper/broker"
)

// Message is one message with what must be declared before it.
type Message struct {
	Exchange, RoutingKey string
	Publishing           amqp.Publishing
	Declare              []Declaration
}

// Fate is what became of one message.
type Fate uint8

// The fates.
const (
	// Unknown: not confirmed; it may have arrived.
	Unknown Fate = iota
	Confirmed
	// Returned: confirmed, but no queue takes it.
	Returned
	// Nacked: the broker did not take it; a queue is full or failed.
	Nacked
	// Refused: it cannot be sent as it is. Err says why.
	Refused
)

// Result is what became of one message.
type Result struct {
	Fate Fate
	Err  error // for Refused
}

// Publisher sends messages. One goroutine uses it.
type Publisher struct {
	cfg      settings
	node     int
	refusals int // in a row, over the nodes

	session  *session // nil when there is no connection
	lanes    map[string]*lane
	declares *amqp.Channel // of declarations
	declared map[string]bool
	exists   map[string]bool // exchanges
}

// New connects to nothing yet.
func New(cfg Config) (*Publisher, error) {
	s, err := cfg.understand()
	if err != nil {
		return nil, err
	}
	return &Publisher{cfg: s}, nil
}

// Server names the server in use, without password.
func (p *Publisher) Server() string { return p.cfg.nodes[p.node].server() }

// Connect makes the connection if there is none.
func (p *Publisher) Connect(ctx context.Context) error {
	if p.session != nil && !p.session.conn.IsClosed() {
		return nil
	}
	p.reset()
	s, err := p.cfg.open(ctx, p.node)
	if err != nil {
		return p.failed(ctx, err)
	}
	p.session, p.refusals = s, 0
	p.lanes, p.declared, p.exists = map[string]*lane{}, map[string]bool{}, map[string]bool{}
	return nil
}

// Close says goodbye to the broker.
func (p *Publisher) Close() error {
	if p.session == nil {
		return nil
	}
	err := p.session.close()
	p.session.drop()
	p.reset()
	if errors.Is(err, amqp.ErrClosed) {
		return nil
	}
	return err
}

func (p *Publisher) reset() {
	if p.session != nil {
		p.session.drop()
	}
	p.session, p.lanes, p.declares, p.declared, p.exists = nil, nil, nil, nil, nil
}

// failed drops the connection, moves on to the next URL and says which kind of
// failure it was.
func (p *Publisher) failed(ctx context.Context, err error) error {
	server := p.Server()
	p.reset()
	p.node = (p.node + 1) % len(p.cfg.nodes)
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("cannot use %s: %w: %w", server, broker.ErrUnavailable, ended)
	}
	err = classify(err)
	if errors.Is(err, broker.ErrRefused) {
		// Another URL of the list may have the right password.
		if p.refusals++; p.refusals < len(p.cfg.nodes) {
			return fmt.Errorf("cannot use %s: %w: %v", server, broker.ErrUnavailable, err)
		}
	}
	return fmt.Errorf("cannot use %s: %w", server, err)
}

// page bounds the messages in flight, and so what may be in doubt at once.
const page = 256

// Publish sends a batch in order and waits for the broker's confirms. The results
// are in the order of the batch and complete as far as they go: an error means that
// those still Unknown may or may not have been sent.
func (p *Publisher) Publish(ctx context.Context, batch []Message) ([]Result, error) {
	results := make([]Result, len(batch))
	at := 0
	for part := range slices.Chunk(batch, page) {
		if err := p.publishPage(ctx, part, results[at:at+len(part)]); err != nil {
			return results, fmt.Errorf("cannot publish %d messages: %w", len(batch), err)
		}
		at += len(part)
	}
	return results, nil
}

func (p *Publisher) publishPage(ctx context.Context, part []Message, results []Result) error {
	if err := p.Connect(ctx); err != nil {
		return err
	}
	if why := p.session.blocked.Load(); why != nil {
		return fmt.Errorf("%w: %s takes no messages: %s", broker.ErrUnavailable, p.Server(), *why)
	}
	limited, cancel := context.WithTimeout(ctx, p.cfg.ConfirmTimeout)
	defer cancel()
	s := p.session
	// amqp091 knows no contexts: closing its connection ends whatever it waits for.
	stop := context.AfterFunc(limited, s.drop)
	defer stop()
	todo := make([]int, len(part))
	for i := range todo {
		todo[i] = i
	}
	err := p.round(limited, part, todo, results)
	if again := p.secondChance(part, results); err == nil && len(again) > 0 {
		err = p.round(limited, part, again, results)
	}
	if err != nil {
		if limited.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("no answer within %s", p.cfg.ConfirmTimeout)
		}
		return p.failed(ctx, err)
	}
	return nil
}

// round declares, sends and reads the fates of the messages of these numbers.
func (p *Publisher) round(ctx context.Context, part []Message, todo []int, results []Result) error {
	todo, err := p.prepare(part, todo, results)
	if err != nil {
		return err
	}
	return p.send(ctx, part, todo, results)
}

// secondChance: somebody has deleted a queue or an exchange that had been declared
// on this connection. It is declared anew for messages that were not taken.
func (p *Publisher) secondChance(part []Message, results []Result) (again []int) {
	for i, r := range results {
		var reply *amqp.Error
		missing := r.Fate == Returned || (errors.As(r.Err, &reply) && reply.Code == amqp.NotFound)
		if !missing || len(part[i].Declare) == 0 {
			continue
		}
		for _, d := range part[i].Declare {
			delete(p.declared, d.identity())
		}
		results[i] = Result{}
		again = append(again, i)
	}
	return again
}

// send writes messages, waits for their fates, and sends those that a channel
// exception has left in doubt again, each alone.
func (p *Publisher) send(ctx context.Context, part []Message, todo []int, results []Result) error {
	again, err := p.write(ctx, part, todo, results)
	if err != nil {
		return err
	}
	for _, i := range again {
		if _, err := p.write(ctx, part, []int{i}, results); err != nil {
			return err
		}
	}
	return nil
}

// prepare declares what is needed and returns the numbers of the messages that can
// be sent. An error means that the connection is lost.
func (p *Publisher) prepare(part []Message, wanted []int, results []Result) ([]int, error) {
	todo := make([]int, 0, len(wanted))
	tried := map[string]error{} // what failed once in this batch fails for all that need it
	for _, i := range wanted {
		if err := part[i].check(); err != nil {
			results[i] = Result{Fate: Refused, Err: err}
			continue
		}
		if err := p.ready(part[i], tried); err != nil {
			// What is not the broker's refusal is the connection's end, even while amqp091
			// does not know of it yet.
			if _, ok := soft(err); !ok {
				return nil, err
			}
			results[i] = Result{Fate: Refused, Err: err}
			continue
		}
		todo = append(todo, i)
	}
	return todo, nil
}

func (p *Publisher) ready(m Message, tried map[string]error) error {
	for _, d := range m.Declare {
		id := d.identity()
		if p.declared[id] {
			continue
		}
		err, known := tried[id]
		if !known {
			err = p.onDeclares(d.declare)
			tried[id] = err
		}
		if err != nil {
			return err
		}
		p.declared[id] = d.lasting()
		p.exists[d.Exchange] = p.exists[d.Exchange] || !d.NoDeclare || d.Queue != "" // bound to: it is there
	}
	if m.Exchange == "" || strings.HasPrefix(m.Exchange, "amq.") || p.exists[m.Exchange] {
		return nil
	}
	id := "\x00" + m.Exchange
	err, known := tried[id]
	if !known {
		// Publishing to an exchange that is not there would cost the others' confirms.
		err = p.onDeclares(func(ch *amqp.Channel) error {
			return ch.ExchangeDeclarePassive(m.Exchange, "direct", true, false, false, false, nil)
		})
		if err != nil {
			err = fmt.Errorf("cannot find exchange %q: %w", m.Exchange, err)
		}
		tried[id] = err
	}
	p.exists[m.Exchange] = err == nil
	return err
}

// onDeclares runs on the channel of declarations, which an exception costs.
func (p *Publisher) onDeclares(do func(*amqp.Channel) error) error {
	if p.declares == nil || p.declares.IsClosed() {
		ch, err := p.session.conn.Channel()
		if err != nil {
			return fmt.Errorf("cannot open a channel: %w", err)
		}
		p.declares = ch
	}
	return do(p.declares)
}
