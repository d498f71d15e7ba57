package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"crisper/integration/harness"
)

// queue is the sample application's default queue.
const queue = "default"

// lane is the ground of one row: a broker that is broken, a backend that is not, a
// publisher, and the workers. Trials follow one another on it.
type lane struct {
	side string // crisper or celery
	tolerance
	bed     *harness.Bed
	broker  *harness.Redis
	wire    *wire          // what the broker is told; nil where no evidence is asked for
	written bool           // or what it has written down is the evidence
	proxy   *harness.Proxy // before the broker; nil where no fault needs it
	freezer *freezer       // the same, of our own
	app     harness.App    // as workers see it
	client  *harness.Client
	book    *book
	random  *rand.Rand
	cgroup  *harness.Cgroup
	worker  *harness.Worker // that is hurt, or that stays through all trials
	peer    *harness.Worker // that survives
}

const crisperSide, stockSide = "crisper", "celery"

func newLane(ctx context.Context, side, name string, needs needs, seed uint64, allow tolerance) (*lane, error) {
	bed, err := harness.Make(harness.Options{Name: "chaos-" + name})
	if err != nil {
		return nil, err
	}
	l := &lane{side: side, tolerance: allow, bed: bed, random: rand.New(rand.NewPCG(seed, 0))}
	if err := l.lay(ctx, needs); err != nil {
		bed.Close()
		return nil, err
	}
	return l, nil
}

// needs says what a row wants besides a broker.
type needs struct{ durable, proxy, wire bool }

func (l *lane) lay(ctx context.Context, n needs) error {
	var err error
	if l.broker, err = l.bed.StartRedis(ctx, harness.RedisOptions{Durable: n.durable}); err != nil {
		return err
	}
	l.written = n.wire && n.durable
	if n.wire && !n.durable {
		if l.wire, err = tap(l.bed, l.broker); err != nil {
			return err
		}
	}
	results, err := l.bed.StartRedis(ctx, harness.RedisOptions{})
	if err != nil {
		return err
	}
	l.book = newBook(l.bed.Journal.Path, results)
	dir := func(parts ...string) string {
		return filepath.Join(append([]string{l.bed.Root, "integration"}, parts...)...)
	}
	l.app = harness.App{Name: "chaosapp", Broker: l.broker.URL(0), Backend: results.URL(0),
		Env: []string{"PYTHONPATH=" + strings.Join([]string{dir("chaos", "app"), dir("sample")}, ":")}}
	// The publisher goes straight to the broker: what it sends is not what is tested.
	if l.client, err = l.bed.StartClient(l.app); err != nil {
		return err
	}
	if n.proxy {
		if l.proxy, err = l.bed.StartProxy(l.broker); err != nil {
			return err
		}
		l.app.Broker = l.proxy.URL(0)
	}
	return nil
}

// start starts a worker of the lane's kind and waits until it takes tasks. own are
// options for Crisper only; the harness names stock workers itself.
func (l *lane) start(ctx context.Context, own string, common ...string) (*harness.Worker, error) {
	args := append([]string{"-Q", queue}, common...)
	var w *harness.Worker
	var err error
	switch {
	case l.side == stockSide:
		w, err = l.bed.StartStock(l.app, args...)
	case l.side == wrappedSide:
		w, err = l.startWrapped(own, args)
	default:
		w, err = l.bed.StartCrisperIn(l.cgroup, l.app, append(args, strings.Fields("-n worker"+strconv.Itoa(l.random.IntN(1<<30))+"@%h "+own)...)...)
	}
	if err != nil {
		return nil, err
	}
	return w, w.WaitReady(ctx)
}

// trial is one fault and the tasks that were under way.
type trial struct {
	lane     *lane
	sent     []sent
	fault    time.Time
	held     map[string]bool // what the broker held when a process had been killed
	recovery time.Duration   // negative: none to be measured
	verdict  verdict
	note     string          // something promised that did not happen
	forgone  map[string]bool // early-acknowledged tasks that nobody knows of any more: not waited for
}

func (l *lane) begin() *trial { return &trial{lane: l, recovery: -1} }

// order is a wish for n tasks of one kind.
type order struct {
	n       int
	late    bool
	seconds float64 // of the first run
	again   float64 // of any other
}

// send publishes tasks of several kinds, mixed. Their order is random, their
// number is not.
func (t *trial) send(orders ...order) error {
	var all []order
	for _, o := range orders {
		for range o.n {
			all = append(all, o)
		}
	}
	t.lane.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, o := range all {
		name := "chaosapp.early"
		if o.late {
			name = "chaosapp.late"
		}
		id, err := t.lane.client.Send(harness.Task{Name: name, Args: []any{o.seconds, o.again}})
		if err != nil {
			return err
		}
		t.sent = append(t.sent, sent{id, o.late})
	}
	return nil
}

func (t *trial) ids() []string {
	ids := make([]string, len(t.sent))
	for i, s := range t.sent {
		ids[i] = s.id
	}
	return ids
}

// until reads the journal and the results until done says so.
func (t *trial) until(ctx context.Context, what string, done func(*book) bool) error {
	b, ids := t.lane.book, t.ids()
	var failure error
	err := harness.Until(ctx, what, func() bool {
		failure = errors.Join(b.refresh(), b.ask(ctx, ids))
		return failure != nil || done(b)
	})
	return errors.Join(failure, err)
}

// errMissed: the tasks were over before we, on a busy machine, saw them in the state
// in which the fault was to strike. Such a trial says nothing.
var errMissed = errors.New("the moment for the fault was missed")

// moment waits for the state in which the fault is to strike.
func (t *trial) moment(ctx context.Context, what string, there func(*book) bool) error {
	missed := false
	err := t.until(ctx, what, func(b *book) bool {
		if there(b) {
			return true
		}
		missed = t.endedCount() == len(t.sent)
		return missed
	})
	if err == nil && missed {
		return errMissed
	}
	return err
}

// untilRunning waits until at least n of the tasks run, and returns them.
func (t *trial) untilRunning(ctx context.Context, n int) (map[string]int, error) {
	var found map[string]int
	err := t.moment(ctx, fmt.Sprintf("%d tasks to run", n), func(b *book) bool {
		found = b.running(t.ids())
		return len(found) >= n
	})
	return found, err
}

// decide waits until every task has ended or is recorded as failed and the broker
// owes nothing, for so long as the row's patience lasts; then it judges.
func (t *trial) decide(ctx context.Context, patience time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, patience*t.lane.times)
	defer cancel()
	began := time.Now()
	err := t.until(limited, "all tasks to be decided", func(b *book) bool {
		open := t.undecided()
		return len(open) == 0 || time.Since(began) > longOnTheWay && t.allLostByCelery(limited, open)
	})
	if err == nil {
		err = t.lane.broker.UntilEmpty(limited, queue)
	}
	if err != nil && limited.Err() == nil {
		return err // not impatience: something is broken here
	}
	if err := t.lane.book.refresh(); err != nil {
		return err
	}
	known, err := t.evidence(ctx)
	if err != nil {
		return err
	}
	t.verdict = judge(t.sent, t.lane.book.runs, t.lane.book.records, struck{t.fault, t.held, t.lane.tolerance, known})
	return ctx.Err()
}

func (t *trial) undecided() (open []string) {
	for _, s := range t.sent {
		if b := t.lane.book; !b.ended(s.id) && !b.failed(s.id) && !t.forgone[s.id] {
			open = append(open, s.id)
		}
	}
	return open
}

// pause waits a random time, so that faults do not always strike the same line.
func (l *lane) pause(ctx context.Context, from, to time.Duration) {
	select {
	case <-time.After(from + time.Duration(l.random.Int64N(int64(to-from)))):
	case <-ctx.Done():
	}
}

// anyOf picks one entry of a map.
func (l *lane) anyOf(running map[string]int) (id string, pid int) {
	at := l.random.IntN(len(running))
	for id, pid = range running {
		if at == 0 {
			break
		}
		at--
	}
	return id, pid
}
