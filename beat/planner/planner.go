package planner

import (
	"errors"
	"fmt"
	"time"

	"crisper/beat"
	"crisper/beat/schedule"
)

// Config bounds what the planner asks for.
type Config struct {
	Batch       int           // most ticks in one Publish
	MaxInterval time.Duration // longest sleep (beat_max_loop_interval), and the pause after a failed question
}

// Defaults are Celery's interval and a batch that one script carries out in milliseconds.
func Defaults() Config { return Config{Batch: 512, MaxInterval: 300 * time.Second} }

// Validate reports every problem.
func (c Config) Validate() error {
	var errs []error
	if c.Batch < 1 {
		errs = append(errs, fmt.Errorf("cannot publish batches of %d ticks", c.Batch))
	}
	if c.MaxInterval <= 0 {
		errs = append(errs, fmt.Errorf("cannot sleep for at most %s", c.MaxInterval))
	}
	return errors.Join(errs...)
}

// Entry is what the planner knows of an entry. What is published for it is not its
// affair.
type Entry struct {
	Name     string
	Schedule schedule.Schedule
	Policy   schedule.Policy
}

// Planner is a plain value for one goroutine; doc.go says what it decides and what
// its caller owes it.
type Planner struct {
	cfg    Config
	items  map[string]*item
	queue  queue
	batch  []pending // offered to the store, without an answer yet
	asked  map[uint64]*item
	lastID uint64

	retryAt time.Time // nothing is published before; after a failure
	alarm   time.Time // the WakeAt that the caller has last been given
	seen    time.Time // the latest now
}

// pending is a tick that the store has been offered.
type pending struct {
	item    *item
	tick    beat.Tick
	skipped int // how many were dropped before it, and why
	reason  Reason
}

// New returns a planner that waits for Loaded.
func New(cfg Config) (*Planner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Planner{cfg: cfg, items: map[string]*item{}, asked: map[uint64]*item{}}, nil
}

// Step takes one event in and appends what is to be done to acts.
func (p *Planner) Step(now time.Time, ev Event, acts []Action) []Action {
	p.notice(now)
	switch ev := ev.(type) {
	case Loaded:
		p.onLoaded(now, ev)
	case Reloaded:
		p.onReloaded(now, ev)
	case Published:
		acts = p.onPublished(now, ev, acts)
	case Failed:
		p.onFailed(now, ev)
	case Answered:
		p.onAnswered(now, ev)
	case Woke: // what is due is looked for below
	}
	acts = p.plan(now, acts)
	return p.wake(now, acts)
}

// setBack is by how much a clock is set back at least, to be called that.
const setBack = time.Second

// notice finds out that the clock was set back. What was decided by the later time
// is decided again; what has been sent stays sent, by its record.
func (p *Planner) notice(now time.Time) {
	back := p.seen.Sub(now) >= setBack
	if back || now.After(p.seen) {
		p.seen = now
	}
	if !back {
		return
	}
	p.retryAt = time.Time{}
	p.queue = p.queue[:0]
	for _, it := range p.items {
		it.place, it.handled = -1, it.record.Last
		if !it.offered {
			it.due = time.Time{} // Python told it by the later time
		}
		p.enqueue(now, it)
	}
}

// plan offers what is due to the store, unless an answer of it is awaited, and asks
// Python about what it alone knows.
func (p *Planner) plan(now time.Time, acts []Action) []Action {
	if len(p.batch) > 0 || now.Before(p.retryAt) {
		return acts
	}
	for len(p.queue) > 0 && !p.queue[0].at.After(now) && len(p.batch) < p.cfg.Batch {
		it := p.queue.pop()
		if acts = p.take(now, it, acts); !it.offered {
			p.enqueue(now, it)
		}
	}
	if len(p.batch) == 0 {
		return acts
	}
	ticks := make([]beat.Tick, len(p.batch))
	for i, b := range p.batch {
		ticks[i] = b.tick
	}
	return append(acts, Publish{Ticks: ticks})
}

// take moves what is due of one entry into the batch, or asks about it.
func (p *Planner) take(now time.Time, it *item, acts []Action) []Action {
	switch {
	case !it.entry.Asks():
		return p.takeDue(now, it, acts)
	case !it.due.IsZero():
		p.offer(it, it.due)
		return acts
	}
	p.lastID++
	it.question = p.lastID
	p.asked[it.question] = it
	return append(acts, Ask{ID: it.question, Entry: it.entry.Name, Last: it.record.Last})
}

func (p *Planner) takeDue(now time.Time, it *item, acts []Action) []Action {
	due, skipped := schedule.Due(it.entry.Schedule, it.handled, now, it.entry.Policy)
	if len(due) == 0 {
		if skipped > 0 {
			it.handled = now // as in Celery the next is counted from here; the record stays
			acts = append(acts, Skipped{Entry: it.entry.Name, N: skipped, Reason: Deadline})
		}
		return acts
	}
	begin := len(p.batch)
	for _, moment := range due[:min(len(due), p.cfg.Batch-begin)] {
		p.offer(it, moment)
	}
	p.batch[begin].skipped, p.batch[begin].reason = skipped, it.why(now, due)
	return acts
}

// offer adds a tick to the batch.
func (p *Planner) offer(it *item, due time.Time) {
	count := it.record.Count + 1
	if n := len(p.batch); n > 0 && p.batch[n-1].item == it {
		count = p.batch[n-1].tick.Count + 1
	}
	it.offered = true
	p.batch = append(p.batch, pending{item: it, tick: beat.Tick{Entry: it.entry.Name, Due: due, Count: count}})
}

// wake asks for a call no later than when something is to be done. A call that
// comes too early is harmless, so an earlier alarm is left.
func (p *Planner) wake(now time.Time, acts []Action) []Action {
	want := now.Add(p.cfg.MaxInterval)
	switch {
	case len(p.batch) > 0:
	case now.Before(p.retryAt):
		want = sooner(want, p.retryAt)
	case len(p.queue) > 0:
		want = sooner(want, p.queue[0].at)
	}
	if p.alarm.After(now) && !want.Before(p.alarm) {
		return acts
	}
	p.alarm = want
	return append(acts, WakeAt{At: want})
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
