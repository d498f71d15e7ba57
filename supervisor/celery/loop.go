package celery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/command/tree"
	"crisper/supervisor/ops"
	"crisper/supervisor/pool"
)

// tickEvery is the longest pause between two turns: probes judge by them.
const tickEvery = time.Second

func (l *loop) run(ctx context.Context) (int, error) {
	defer close(l.over)
	l.generation = 1
	l.step(pool.Opened{})
	l.step(pool.GenerationReady{Generation: l.generation})
	timer := time.NewTimer(0)
	defer timer.Stop()
	told := ctx.Done()
	for !l.done || l.awaits(time.Now()) {
		timer.Reset(l.pause())
		select {
		case do := <-l.events:
			do()
		case sig := <-l.deps.Signals:
			l.onSignal(sig)
		case <-timer.C:
			l.silent()
			l.act(l.pool.Tick(time.Now(), nil))
		case <-told:
			told = nil
			l.drain()
		}
		l.measure()
		l.warden.leaving = l.draining
		l.keep()
		l.recordAhead()
		l.publish()
	}
	if l.returning > 0 {
		l.log.Error("what dead workers held could not be given back in time: it comes back after the visibility timeout", zap.Int("workers", l.returning))
	}
	l.records.stop(min(time.Second, time.Until(l.recordable)))
	if left, names := tree.Sweep(syscall.SIGKILL); left > 0 {
		l.log.Warn("processes that the workers left behind were killed", zap.Int("processes", left), zap.String("names", names))
	}
	return l.exit, l.why
}

func (l *loop) pause() time.Duration {
	wait := tickEvery
	if !l.measuring {
		wait = min(wait, time.Until(l.measured.Add(l.measureEvery())))
	}
	wait = min(wait, l.untilRound(wait))
	for _, at := range [...]time.Time{l.pool.NextWake(), l.patience, l.recordable} {
		if left := time.Until(at); !at.IsZero() && (left > 0 || !l.done) {
			wait = min(wait, left)
		}
	}
	return max(wait, 0)
}

// into brings something into the loop; nothing when it has ended.
func (l *loop) into(do func()) {
	select {
	case l.events <- do:
	case <-l.over:
	}
}

func (l *loop) step(ev pool.Event) { l.stepAt(time.Now(), ev) }

func (l *loop) stepAt(now time.Time, ev pool.Event) {
	l.act(l.pool.Step(now, ev, nil))
	if n, last := l.pool.Impossible(); n > l.impossible {
		l.impossible = n
		l.log.Warn("the pool met an impossible event", zap.Int("count", n), zap.String("last", last))
	}
}

func (l *loop) onSignal(sig os.Signal) {
	l.log.Info("signal", zap.Stringer("signal", sig))
	switch sig {
	case syscall.SIGTERM:
		l.drainOrHurry()
	case syscall.SIGINT:
		if l.ints++; l.ints > 1 {
			l.cold()
			return
		}
		l.signalled = true
		l.drain()
	case syscall.SIGQUIT:
		l.cold()
	case syscall.SIGHUP:
		l.reload()
	case syscall.SIGUSR1:
		l.dump()
	}
}

func (l *loop) drainOrHurry() {
	if l.signalled {
		l.hurries()
		return
	}
	l.signalled = true // after a request to drain it says the same once more
	l.drain()
}

func (l *loop) drain() {
	if l.draining {
		return
	}
	l.leave()
	var deadline time.Time
	if l.cfg.Grace > 0 {
		deadline = l.told.Add(l.cfg.Grace - l.cfg.Margin)
		l.cutAt = deadline
	}
	l.step(pool.DrainBegan{Deadline: deadline})
}

func (l *loop) leave() {
	if l.told.IsZero() {
		l.told = time.Now()
	}
	l.draining = true
}

// hurries: what still runs is cut off.
func (l *loop) hurries() {
	l.leave()
	l.cutAt = time.Now()
	l.step(pool.DrainHurried{})
}

// cold is Celery's cold shutdown of all workers.
func (l *loop) cold() {
	l.exit, l.why = l.deps.ExitFailure, errors.New("cold shutdown")
	l.hurries()
}

// reload replaces the workers one by one; each loads the app anew by itself.
func (l *loop) reload() {
	if l.draining {
		return
	}
	l.generation++
	l.step(pool.GenerationReady{Generation: l.generation})
}

func (l *loop) act(acts []pool.Action) {
	for _, act := range acts {
		switch a := act.(type) {
		case pool.StartChild:
			l.start(a)
		case pool.Stop:
			l.stop(a.Child)
		case pool.Kill:
			l.kill(a)
		case pool.StartGeneration:
			l.reload() // never needed: nothing is forked from a process that could be lost
		case pool.Transition:
			l.tell(a)
		case pool.GiveUp:
			l.exit, l.why = l.deps.ExitChildren, errors.New(a.Reason)
			l.log.Error("no worker can be started", zap.String("reason", a.Reason))
			l.draining = true
			l.step(pool.DrainHurried{})
		case pool.Drained:
			l.leftAll(time.Now())
		}
	}
}

// recentKept is how many transitions the state page shows.
const recentKept = 200

// tell is where a transition becomes the log line, the metric and the state page.
func (l *loop) tell(t pool.Transition) {
	from, to := t.From.String(), t.To.String()
	l.metrics.Transition(from, to, string(t.Reason))
	l.recent = append([]ops.TransitionState{{At: time.Now(), Slot: int(t.Slot), Child: uint64(t.Child), From: from, To: to,
		Reason: string(t.Reason), Detail: t.Detail}}, l.recent...)
	l.recent = l.recent[:min(len(l.recent), recentKept)]
	level := zap.InfoLevel
	switch t.Reason {
	case pool.ReasonCrashed, pool.ReasonHung, pool.ReasonOOM, pool.ReasonCutoff, pool.ReasonForkFail:
		level = zap.WarnLevel
	}
	l.log.Log(level, "slot", zap.Int("slot", int(t.Slot)), zap.Uint64("child", uint64(t.Child)), zap.String("from", from),
		zap.String("to", to), zap.String("reason", string(t.Reason)), zap.String("detail", t.Detail))
}

func (l *loop) dump() {
	for _, s := range l.snapshot().Slots {
		l.log.Warn("slot", zap.String("state", fmt.Sprintf("%+v", s)))
	}
}
