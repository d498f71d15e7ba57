package native

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/agent"
	"crisper/supervisor/consumer"
	"crisper/supervisor/ledger"
	"crisper/supervisor/ops"
	"crisper/supervisor/pool"
	"crisper/supervisor/process"
	"crisper/supervisor/wire"
)

// loop is the owner of everything. Fields are touched by the loop's goroutine
// only, except those headed otherwise.
type loop struct {
	cfg  Config
	deps Deps
	log  *zap.Logger
	ctx  context.Context

	// The channel in. Capacity: bursts of frames while the loop is in a turn; a
	// full channel makes the senders wait, which loses nothing (they are
	// goroutines of their own and the loop never waits for them).
	events chan event
	// The channels out; capacity 1 and one request at a time, so sending never blocks.
	toTaker   chan takeRequest
	toSettler chan []settlement
	// work counts the goroutines that Run waits for.
	work sync.WaitGroup
	// stopped is closed when the loop has ended: post then drops events.
	stopped chan struct{}
	// health is written by the loop and read by probes.
	health atomic.Pointer[ops.Health]

	now      time.Time
	pool     *pool.Pool
	book     *ledger.Ledger[task]
	consumer *consumer.Consumer
	broker   broker.Consumer
	metrics  *ops.Metrics

	info     agent.Info
	allEarly bool // every task of the app (allStartEarly)
	kinds    map[string]*taskKind
	overall  taskKind // of all tasks together
	listed   []string // names of short tasks (ahead.go)
	children map[pool.ChildID]*child
	inOrder  []*child // the same, oldest first: a walk is on the hot path
	zygotes  map[pool.Generation]*zygote
	// generation is the newest that is loaded, newest the newest that was started.
	generation, newest pool.Generation
	// reloadError is why the last reload came to nothing; empty: it did not.
	reloadError string

	steward     *steward
	stewards    int
	stewardAt   time.Time
	stewardWait patience
	asks        []*ask
	asking      *ask
	askSeq      uint64
	spill       *wire.SpillFile // of the large request under way
	// heralding: the app has handlers of task_received. heralded is the question about
	// those under way, nil: none; heralds come after them.
	heralding      bool
	heralded       *ask
	under, heralds []herald

	pending, retry              []settlement
	holding                     time.Time // since when acks are held back
	taking, settling, exhausted bool
	takesEnded                  int  // how many takes have ended
	woken                       bool // Ready came while a Take was under way
	connected, paused           bool

	draining, hurried, leaving, done bool
	signalled                        bool // by TERM or INT; a request to drain is followed by a first one
	poolEmpty                        bool
	deadline, drainedAt, emptySince  time.Time
	hurriedAt                        time.Time
	exit                             int
	exitWhy                          string

	scale       autoscale
	slots       int
	measuredAt  time.Time
	measuring   bool
	trimmedAt   time.Time
	meter       *process.Meter // used by one measurement at a time
	podMemory   process.Memory // as last measured
	podBefore   process.Memory // the measurement before that one
	exhaustedAt time.Time
	memory      map[pool.ChildID]int64
	cgroup      ops.CgroupState
	brokerState ops.BrokerState
	backlog     map[string]broker.Backlog
	remote      *remote
	startedAt   time.Time
	readyAt     time.Time
	progress    time.Time // when a task began or ended last
	stuck       time.Time
	counts      ops.TaskCounts
	recent      ring[recentTask]
	history     ring[ops.TransitionState]
	logInfo     bool

	actions []pool.Action // reused
	inStep  bool
	scratch []byte
	bugs    int
}

// post hands an event to the loop. It waits while the channel is full.
func (l *loop) post(ev event) {
	select {
	case l.events <- ev:
	case <-l.stopped:
	}
}

// goes runs f in a goroutine that Run waits for.
func (l *loop) goes(f func()) {
	l.work.Go(f)
}

// run is the loop: events, the timer, the end.
func (l *loop) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !l.done {
		select {
		case ev := <-l.events:
			l.now = l.deps.Now()
			l.apply(ev)
			for n := len(l.events); n > 0; n-- {
				l.apply(<-l.events)
			}
		case <-timer.C:
			l.now = l.deps.Now()
			l.tick()
		case <-ctx.Done():
			l.now = l.deps.Now()
			l.drain("context")
			ctx = context.Background()
		}
		l.turn()
		l.metrics.LoopLatency(l.deps.Now().Sub(l.now))
		timer.Reset(max(0, l.nextWake().Sub(l.now)))
	}
}

// apply gives an event to the one that knows what to do.
func (l *loop) apply(ev event) {
	switch e := ev.(type) {
	case taken:
		l.taken(e)
	case settled:
		l.settled(e)
	case brokerSaid:
		l.brokerSaid(e.said)
	case brokerEnded:
		l.brokerEnded(e.err)
	case childSpoke:
		if isSteward(e.child) {
			l.stewardSpoke(e)
		} else {
			l.childSpoke(e)
		}
	case childSilent:
		l.onSilent(e)
	case childExited:
		l.onExited(e)
	case zygoteSaid:
		l.zygoteSaid(e)
	case measured:
		l.onMeasured(e)
	case signalled:
		l.onSignal(e.signal)
	case asked:
		e.do(l)
	}
}

func (l *loop) onSilent(e childSilent) {
	if isSteward(e.child) {
		if l.steward != nil && l.steward.id == e.child {
			l.stewardGone("its socket ended")
		}
		return
	}
	if c := l.children[e.child]; c != nil {
		c.silent = true
		l.childGone(c)
	}
}

func (l *loop) onExited(e childExited) {
	if isSteward(e.child) {
		if l.steward != nil && l.steward.id == e.child {
			l.stewardGone(e.status.String())
		}
		return
	}
	if c := l.children[e.child]; c != nil {
		c.status = &e.status
		l.childGone(c)
	}
}

// step gives an event to the pool and carries out what it answers. Actions may
// lead to further events; those wait their turn.
func (l *loop) step(ev pool.Event) {
	at := len(l.actions)
	l.actions = l.pool.Step(l.now, ev, l.actions)
	l.perform(at)
}

func (l *loop) perform(from int) {
	if l.inStep {
		return // the outer call goes on with what was appended
	}
	l.inStep = true
	for i := from; i < len(l.actions); i++ {
		l.act(l.actions[i])
	}
	l.actions = l.actions[:0]
	l.inStep = false
}

// act carries out one action of the pool.
func (l *loop) act(action pool.Action) {
	switch a := action.(type) {
	case pool.StartChild:
		l.startChild(a)
	case pool.Retire:
		l.with(a.Child, l.retire)
	case pool.Stop:
		l.with(a.Child, l.stop)
	case pool.Interrupt:
		l.with(a.Child, func(c *child) { l.interrupt(c, a) })
	case pool.Kill:
		l.with(a.Child, func(c *child) { l.killChild(c, a) })
	case pool.StartGeneration:
		l.startGeneration()
	case pool.PausePrefetch:
		l.paused = a.Paused
		l.log.Warn("memory is scarce: prefetching is paused", zap.Bool("paused", a.Paused))
	case pool.Transition:
		l.transition(a)
	case pool.GiveUp:
		l.giveUp(a.Reason)
	case pool.Drained:
		l.poolEmpty = true
	}
}

func (l *loop) with(id pool.ChildID, do func(*child)) {
	if c := l.children[id]; c != nil {
		do(c)
	}
}

// tick is the timer: whatever is due now.
func (l *loop) tick() {
	at := len(l.actions)
	l.actions = l.pool.Tick(l.now, l.actions)
	l.perform(at)
	l.slowHeads()
	l.doubt()
	if !l.stewardAt.IsZero() && !l.now.Before(l.stewardAt) {
		l.stewardAt = time.Time{}
		l.forkSteward()
	}
}

// turn follows every batch of events: it moves what can be moved.
func (l *loop) turn() {
	l.herald()
	l.due()
	l.resize() // here and not in tick: the heartbeat comes only when nothing happens
	l.dispatch()
	l.takeForLookers()
	l.flush()
	l.announce()
	l.keepState()
	l.measure()
	l.watchProgress()
	l.trim()
	l.publishHealth()
	l.maybeLeave()
}

// How often the loop turns when nothing happens: the liveness probe wants to see it
// alive (ops.LoopLimit). With nothing in hand there is nothing that a turn could find.
const (
	heartbeat   = time.Second
	restingBeat = 5 * time.Second
)

func (l *loop) resting() bool {
	return l.book.Len() == 0 && l.exhausted && l.connected && !l.draining && l.stuck.IsZero() &&
		!l.readyAt.IsZero() && (l.scale.max == 0 || l.slots == l.scale.min)
}

// nextWake is the earliest wish.
func (l *loop) nextWake() time.Time {
	next := l.now.Add(heartbeat)
	if l.resting() {
		next = l.now.Add(restingBeat)
	}
	next = earliest(next, l.nextMeasure())
	next = earliest(next, l.pool.NextWake())
	if due, ok := l.book.NextDue(); ok {
		next = earliest(next, due)
	}
	next = earliest(next, l.nextSlowHead())
	next = earliest(next, l.nextLimited())
	next = earliest(next, l.nextSave())
	next = earliest(next, l.stewardAt)
	if !l.holding.IsZero() {
		next = earliest(next, l.holding.Add(holdAcks))
	}
	if l.connected && l.remote.fanout != nil && !l.remote.publishing {
		next = earliest(next, l.remote.sender.NextWake())
	}
	if l.draining {
		next = earliest(next, l.lastMoment())
	}
	return next
}

// resize follows the work when autoscaling is on.
func (l *loop) resize() {
	if l.scale.max == 0 || l.draining {
		return
	}
	work := l.book.Count(ledger.Reserved) + l.book.Count(ledger.Accepting) + l.book.Count(ledger.Queued) + l.book.Count(ledger.Active)
	if want := l.scale.want(l.now, l.slots, work); want != l.slots {
		l.slots = want
		l.step(pool.Resized{Slots: want})
	}
}

func (l *loop) maxSlots() int { return max(l.slots, l.scale.max) }

// bug reports something that cannot be: the books are kept, the fact is said.
func (l *loop) bug(what string, err error) {
	l.bugs++
	l.log.Error("internal error: "+what, zap.Error(err), zap.Stack("stack"))
	if l.deps.OnBug != nil {
		l.deps.OnBug(what, err)
	}
}

func (l *loop) giveUp(reason string) {
	l.log.Error("giving up: children cannot be started", zap.String("reason", reason))
	l.exit, l.exitWhy = l.deps.ExitChildren, reason
	l.drain("give up")
}

func (l *loop) brokerEnded(err error) {
	if err == nil || l.draining {
		l.connected = false
		return
	}
	l.log.Error("the broker cannot be used", zap.Error(err))
	l.exit, l.exitWhy = l.deps.ExitBroker, err.Error()
	l.connected = false
	l.drain("broker")
}
