package celery

import (
	"context"
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/pool"
)

// keeping is one broker that our workers use, and what is done about it. All of it
// belongs to the loop but for the requests that are under way.
type keeping struct {
	broker.Keeper
	busy    bool
	looked  time.Time // when the last round began
	renewed time.Time
	failed  bool // the last round; said once
	waiting []func()
}

// whenIdle does something when no renewal is under way, whose answer says by which scores
// deliveries are found.
func (k *keeping) whenIdle(do func()) {
	if k.busy {
		k.waiting = append(k.waiting, do)
		return
	}
	do()
}

// Rounds are as far apart as a verdict needs them, and no further than renewal does.
const (
	shortestRound = 250 * time.Millisecond
	longestRound  = 5 * time.Second
	renewAtLeast  = time.Minute // as the native runtime
	// justTaken is how long a delivery may be told of and not booked yet.
	justTaken = time.Second
)

// keeperFor opens a keeper for a broker, once for all workers that use it; nil when
// there is none for this kind of broker.
func (w *warden) keeperFor(info BrokerInfo) *keeping {
	text, _ := json.Marshal(info) // was just read from JSON
	k, known := w.keepers[string(text)]
	if known || w.OpenKeeper == nil {
		return k
	}
	keeper, err := w.OpenKeeper(info)
	switch {
	case err != nil:
		w.log.Warn("deliveries of workers are not looked after: renewal, hang detection and giving back are off", zap.Error(err))
	case keeper == nil:
		w.log.Info("the broker is not Redis: it gives back itself what a dead worker held, and workers are not judged by its backlog")
	default:
		k = &keeping{Keeper: keeper, renewed: time.Now()}
	}
	w.keepers[string(text)] = k
	return k
}

func (w *warden) closeKeepers() {
	for _, k := range w.keepers {
		if k != nil {
			k.Close()
		}
	}
}

func (w *warden) round(k *keeping) time.Duration {
	every := longestRound
	if w.HangTimeout > 0 {
		every = min(every, w.HangTimeout/12)
	}
	return max(shortestRound, min(every, k.renewal()/2))
}

// untilRound is how long it is to the next round, at most wait.
func (w *warden) untilRound(wait time.Duration) time.Duration {
	for _, k := range w.keepers {
		if k != nil && !k.busy {
			wait = min(wait, time.Until(k.looked.Add(w.round(k))))
		}
	}
	return wait
}

// renewal is how old a delivery's score gets: a third of the visibility timeout.
func (k *keeping) renewal() time.Duration { return min(k.Visibility()/3, renewAtLeast) }

// asked is what one round asks the broker, and the answers.
type asked struct {
	of     []*child
	held   [][]broker.Held
	scores [][]float64
	queues []string
	ready  map[string]int64
	err    error
}

// keep begins a round with each broker for which it is time.
func (w *warden) keep() {
	w.glance()
	for _, k := range w.keepers {
		if k == nil || k.busy || time.Since(k.looked) < w.round(k) {
			continue
		}
		k.busy, k.looked = true, time.Now()
		ask := w.question(k)
		go func() {
			ctx, cancel := context.WithCancel(w.life)
			defer cancel()
			ask.put(ctx, k.Keeper)
			w.post(func() { w.onAnswer(k, ask) })
		}()
	}
}

func (w *warden) question(k *keeping) *asked {
	ask := &asked{}
	if !w.leaving && w.HangTimeout > 0 {
		ask.queues = w.watch.Queues()
	}
	if time.Since(k.renewed) < k.renewal() {
		return ask
	}
	k.renewed = time.Now()
	before := score(time.Now().Add(-justTaken))
	for _, c := range w.children {
		if held := c.hand.Deliveries(before); c.keeper == k && len(held) > 0 {
			ask.of, ask.held = append(ask.of, c), append(ask.held, held)
		}
	}
	return ask
}

func score(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// put asks; renewal first, for it must not wait for anything.
func (a *asked) put(ctx context.Context, k broker.Keeper) {
	for _, held := range a.held {
		scores, err := k.Renew(ctx, held)
		if err != nil {
			a.err = err
			return
		}
		a.scores = append(a.scores, scores)
	}
	if len(a.queues) > 0 {
		a.ready, a.err = k.Ready(ctx, a.queues)
	}
}

func (w *warden) onAnswer(k *keeping, a *asked) {
	k.busy = false
	for i, scores := range a.scores {
		c := a.of[i] // it may have ended meanwhile, and wait to give back what it held
		if lost := c.hand.Renewed(a.held[i], scores); len(lost) > 0 {
			w.log.Warn("deliveries in a worker's hands were restored by somebody and are in another's: their tasks may run twice",
				zap.String("node", c.node), zap.Int("deliveries", len(lost)))
		}
	}
	if a.err != nil {
		w.watch.Unmeasured()
		k.renewed = time.Time{} // again in the next round
		if !k.failed {
			w.log.Warn("cannot look after the deliveries of workers; it is tried again", zap.Error(a.err))
		}
	} else if a.ready != nil {
		w.judge(a.ready)
	}
	k.failed = a.err != nil
	for _, do := range k.waiting {
		do()
	}
	k.waiting = nil
}

// judge replaces workers that take nothing.
func (w *warden) judge(ready map[string]int64) {
	for _, h := range w.watch.Measured(time.Now(), ready, nil) {
		if c := w.children[pool.ChildID(h.Child)]; c != nil {
			w.log.Warn("a worker hangs", zap.String("node", c.node), zap.Bool("deaf", h.Deaf), zap.String("detail", h.Detail))
			w.hung(c, h)
		}
	}
}
