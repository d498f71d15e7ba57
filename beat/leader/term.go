package leader

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"crisper/beat"
	"crisper/beat/app"
	"crisper/beat/lease"
	"crisper/beat/message"
	"crisper/beat/ops"
	"crisper/beat/planner"
	"crisper/broker"
)

// term is one period of leading. Everything here is owned by the goroutine of run,
// but for events, jobs and what never changes.
type term struct {
	*service
	ctx  context.Context // the term's
	work context.Context // of requests under way: it outlives ctx by a moment
	cut  context.CancelFunc
	it   lease.Term

	events chan func()
	jobs   chan func()    // for hand, the only user of the publisher
	others sync.WaitGroup // goroutines that wait for Python, for the clock, and hand
	done   chan struct{}  // closed when nobody reads events any more

	over   bool
	plan   plan // what the lanes go by
	wanted plan // what is being registered

	app       *app.App // nil: there is none now
	version   int      // of what plan was made of
	announced int      // generation whose beat_init has been sent
	begun     bool     // registered for the first time

	registering bool
	stale       bool      // register again when this one is done
	registerAt  time.Time // by our own clock; zero: not wanted

	own, asked *lane
	failures   int // requests in a row without an answer

	rendered  map[tickKey]message.Message // made, and not settled yet
	crashes   map[tickKey]int             // how often the timekeeper died of making it
	questions []planner.Ask               // for a timekeeper that is to come
	cached    []planner.Status            // for pages, when there are many entries
	cachedAt  time.Time
}

// tickKey is a tick in maps.
type tickKey struct {
	entry string
	due   int64
}

func keyOf(t beat.Tick) tickKey { return tickKey{t.Entry, t.Due.UnixMicro()} }

// lane is a planner and what its answers are waiting for.
type lane struct {
	name    string
	planner *planner.Planner
	alarm   time.Time // by the shared clock
	sent    time.Time // when a batch was last made, by our own
	open    []beat.Tick
}

// Limits of what a term waits for.
const (
	// linger is how long a request that is on its way may still take when the term ends.
	linger = 400 * time.Millisecond
	// reserve is kept before the moment at which another may lead.
	reserve = 200 * time.Millisecond
	// announceFor is how long beat_init keeps the ticks waiting.
	announceFor = 3 * time.Second
	// turnEvery is the longest pause between two turns: the probe judges by them.
	turnEvery = time.Second
	// gather is the least time between two batches of a lane: where ticks are due all the
	// time, a batch costs more than the ticks in it. One that comes after a rest is sent at once.
	gather = 20 * time.Millisecond
	// clockEvery is the time between two questions to the store's clock.
	clockEvery = 10 * time.Second
)

// lead is one term, from its begin to the last answer that is waited for.
func (s *service) lead(ctx context.Context, it lease.Term) {
	t := &term{
		service: s, ctx: ctx, it: it,
		// Events come from goroutines of ours, which wait; the loop is never slow.
		events: make(chan func(), 16),
		// At most one request of each lane and one to register are wanted at once.
		jobs: make(chan func(), 3),
		done: make(chan struct{}), rendered: map[tickKey]message.Message{}, crashes: map[tickKey]int{},
	}
	t.work, t.cut = context.WithCancel(context.WithoutCancel(ctx))
	defer t.cut()
	stop := context.AfterFunc(ctx, t.lingering)
	defer stop()
	s.metrics.TermBegan(it.Token)
	s.term.Store(t)
	t.run()
	s.term.Store(nil)
	s.metrics.TermEnded()
}

// lingering cuts what is still on its way a moment after the end of the term, and in
// any case before somebody else can lead. What has not set out is cut at once: a successor
// waits for us.
func (t *term) lingering() {
	left := linger
	if w, ok := t.site.Publisher.(beat.Waiter); ok && w.Waiting() {
		left = 0
	}
	if expiry := t.it.Expiry(); !expiry.IsZero() {
		left = min(left, time.Until(expiry)-reserve)
	}
	if left <= 0 {
		t.cut()
		return
	}
	time.AfterFunc(left, t.cut)
}

func (t *term) run() {
	changed, forget := t.apps.changes()
	defer forget()
	t.own, t.asked = t.newLane("own"), t.newLane("asked")
	t.other(t.hand)
	t.other(t.tellTime)
	t.begin()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !t.over {
		timer.Reset(t.pause())
		select {
		case do := <-t.events:
			do()
		case <-changed:
			t.onChange()
		case <-timer.C:
		case <-t.ctx.Done():
			t.over = true
		}
		if t.ended() {
			t.over = true
		}
		t.turn()
	}
	t.finish()
}

// ended asks the clock as well: a replica that was frozen learns it here.
func (t *term) ended() bool { return t.ctx.Err() != nil || !t.it.Valid() }

func (t *term) newLane(name string) *lane {
	p, err := planner.New(planning(t.info))
	if err != nil { // the app's interval is positive, or it is the default
		p, _ = planner.New(planner.Defaults())
	}
	return &lane{name: name, planner: p}
}

// turn does what time has come for.
func (t *term) turn() {
	if t.over {
		return
	}
	if !t.registerAt.IsZero() && !time.Now().Before(t.registerAt) {
		t.register()
	}
	now := t.clock.now()
	for _, l := range []*lane{t.own, t.asked} {
		if !l.alarm.IsZero() && l.wait(now) <= 0 {
			l.alarm = time.Time{}
			t.step(l, planner.Woke{})
		}
	}
	t.noteTurn(now)
}

func (t *term) pause() time.Duration {
	wait := turnEvery
	now := t.clock.now()
	for _, l := range []*lane{t.own, t.asked} {
		if !l.alarm.IsZero() {
			wait = min(wait, l.wait(now))
		}
	}
	if !t.registerAt.IsZero() {
		wait = min(wait, time.Until(t.registerAt))
	}
	return max(wait, 0)
}

// wait is how long the lane may sleep: until its alarm, and a moment at least since its
// last batch.
func (l *lane) wait(now time.Time) time.Duration {
	return max(l.alarm.Sub(now), gather-time.Since(l.sent))
}

// noteTurn leaves what the probe looks at.
func (t *term) noteTurn(now time.Time) {
	h := ops.TermHealth{At: time.Now(), Connected: t.failures == 0 && t.begun}
	if len(t.own.open) > 0 {
		h.Overdue = max(0, now.Sub(t.own.open[0].Due))
	}
	t.termHealth.Store(&h)
}

// post brings something into the loop; nothing when it has ended.
func (t *term) post(do func()) {
	select {
	case t.events <- do:
	case <-t.done:
	}
}

// other starts a goroutine that finish waits for.
func (t *term) other(do func()) {
	t.others.Add(1)
	go func() {
		defer t.others.Done()
		do()
	}()
}

// hand carries out requests to the publisher, one after the other.
func (t *term) hand() {
	for do := range t.jobs {
		do()
	}
}

// finish waits until nothing of the term is under way.
func (t *term) finish() {
	t.termHealth.Store(nil)
	close(t.done)
	close(t.jobs)
	if t.ctx.Err() == nil {
		t.cut() // we leave by ourselves: nothing more of ours may arrive
	}
	t.others.Wait()
}

// tellTime keeps the clock right.
func (t *term) tellTime() {
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for {
		select {
		case <-t.done:
			return
		case <-ticker.C:
			// Without an answer it runs on as it is; that the store is away others tell.
			_ = t.clock.sync(t.work)
		}
	}
}

// step takes an event into a lane and carries out what is to be done.
func (t *term) step(l *lane, ev planner.Event) {
	for _, act := range l.planner.Step(t.clock.now(), ev, nil) {
		switch a := act.(type) {
		case planner.WakeAt:
			l.alarm = a.At
		case planner.Publish:
			t.publish(l, a.Ticks)
		case planner.Ask:
			t.ask(a)
		case planner.Skipped:
			t.onSkipped(a)
		}
	}
}

func (t *term) onSkipped(a planner.Skipped) {
	t.metrics.Skipped(string(a.Reason), a.N)
	t.log.Warn("ticks are not made up", zap.String("entry", a.Entry), zap.Int("ticks", a.N), zap.String("reason", string(a.Reason)))
}

// failed decides what an error of the store or the broker means. It returns when to
// try again; the term is over when that is 0.
func (t *term) failed(what string, err error) time.Duration {
	var fenced *beat.Fenced
	switch {
	case errors.As(err, &fenced):
		t.onFenced(fenced)
		return 0
	case errors.Is(err, broker.ErrRefused):
		t.over = true
		t.fail(err)
		return 0
	}
	t.failures++
	t.metrics.PublishError()
	t.brokerAway(err)
	wait := retryAfter(t.failures)
	if t.failures == 1 || wait == mostRetry && t.failures%30 == 0 {
		t.log.Warn(what+"; trying again", zap.Int("failures", t.failures), zap.Error(err))
	}
	return wait
}

func (t *term) answered() {
	if t.failures > 0 {
		t.log.Info("the broker answers again", zap.Int("failures", t.failures))
	}
	t.failures = 0
	t.brokerThere()
}

// mostRetry bounds the pause between two tries: what is missed is made up, but not
// for ever.
const mostRetry = time.Second

func retryAfter(failures int) time.Duration {
	return min(50*time.Millisecond<<min(failures-1, 10), mostRetry)
}

// onFenced ends the term. If nobody has taken the Lease from us, its record was lost
// and the tokens began anew: then the next must be larger than what the store has.
func (t *term) onFenced(f *beat.Fenced) {
	t.over = true
	ours := !t.ended()
	t.log.Warn("another has led since; the term ends", zap.Uint64("token", t.it.Token), zap.Uint64("stored", f.Stored), zap.Bool("lease_is_ours", ours))
	if ours {
		t.elector.Raise(f.Stored + 1)
	}
}
