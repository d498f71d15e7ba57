package native

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/ledger"
	"crisper/supervisor/pool"
)

// onSignal is the signal table of supervisor/doc.go.
func (l *loop) onSignal(sig os.Signal) {
	switch sig {
	case syscall.SIGTERM:
		if l.signalled {
			l.hurry("SIGTERM")
			return
		}
		l.signalled = true
		l.drain("SIGTERM")
	case syscall.SIGINT:
		if l.signalled {
			l.cold("SIGINT")
			return
		}
		l.signalled = true
		l.drain("SIGINT")
	case syscall.SIGQUIT:
		l.cold("SIGQUIT")
	case syscall.SIGHUP:
		l.reload()
	case syscall.SIGUSR1:
		l.dump()
	}
}

// drain is Celery's warm shutdown, bounded by the grace period: take nothing
// more, give back at once what has not begun, let the rest end.
func (l *loop) drain(why string) {
	if l.draining {
		return
	}
	l.log.Warn("worker: Warm shutdown (MainProcess)", zap.String("signal", why))
	l.beginDrain()
	l.shuttingDown(why, "Warm", 0)
	l.step(pool.DrainBegan{Deadline: l.deadline})
}

func (l *loop) beginDrain() {
	l.draining = true
	l.drainedAt = l.now
	if l.cfg.Grace > 0 {
		l.deadline = l.now.Add(max(0, l.cfg.Grace-l.cfg.GraceMargin))
	}
	for _, c := range l.children {
		l.takeBack(c)
	}
	l.giveBack()
	l.publishHealth()
}

// hurry is the second TERM: the grace period is over now.
func (l *loop) hurry(why string) {
	if l.hurried {
		return
	}
	l.hurried, l.hurriedAt = true, l.now
	l.log.Warn("hurrying: what still runs is cut off now", zap.String("signal", why))
	l.deadline = l.now
	l.step(pool.DrainHurried{})
}

// cold is Celery's cold shutdown: cut off at once, exit status 1.
func (l *loop) cold(why string) {
	l.log.Warn("worker: Cold shutdown (MainProcess)", zap.String("signal", why))
	l.exit = max(l.exit, 1)
	if !l.draining {
		l.beginDrain()
		l.shuttingDown(why, "Cold", 1)
		l.step(pool.DrainBegan{Deadline: l.deadline})
	}
	l.hurry(why)
}

// giveBack restores everything that has not begun, in the order in which it was taken.
func (l *loop) giveBack() {
	n := 0
	for _, e := range append(l.takeLimited(), l.takeHeralds()...) {
		l.settle(e, broker.Restore, 0, "")
		n++
	}
	for _, place := range []ledger.Place{ledger.Reserved, ledger.Scheduled} {
		for _, e := range l.book.InPlace(place) {
			l.settle(e, broker.Restore, 0, "")
			n++
		}
	}
	if n > 0 {
		l.log.Info(fmt.Sprintf("Restoring %d unacknowledged message(s)", n), zap.Int("deliveries", n))
		l.counts.Restored += int64(n)
		l.metrics.Restored(n)
	}
}

// shuttingDown tells the handlers of worker_shutting_down.
func (l *loop) shuttingDown(sig, how string, exit int) {
	l.signalPython("worker_shutting_down", map[string]any{"sig": sig, "how": how, "exitcode": exit})
}

// signalPython fires a Celery signal in the steward, if anybody listens.
func (l *loop) signalPython(name string, args map[string]any) {
	if l.info.Receivers[name] == 0 {
		return
	}
	all := map[string]any{"name": name}
	for k, v := range args {
		all[k] = v
	}
	l.put(&ask{op: opSignal, args: all})
}

// maybeLeave ends the loop when nothing is left to do, or no time is left to do it.
func (l *loop) maybeLeave() {
	if !l.draining || l.done {
		return
	}
	if l.poolEmpty && l.book.Len() > 0 {
		l.giveBack() // accepted too late to be sent
	}
	// A Take under way may have begun deliveries in our name: nobody else could run them.
	clean := l.poolEmpty && !l.taking && l.book.Len() == 0 && len(l.pending) == 0 && !l.settling && len(l.retry) == 0
	if clean && !l.leaving {
		l.leaving = true
		l.signalPython("worker_shutdown", nil)
	}
	answered := l.asking == nil && len(l.asks) == 0
	if clean && (answered || l.steward == nil) {
		l.done = true
		return
	}
	if end := l.lastMoment(); !end.IsZero() && !l.now.Before(end) {
		l.log.Error("leaving with work unsettled; peers will restore it",
			zap.Int("deliveries", l.book.Len()), zap.Int("children", len(l.children)))
		l.done = true
	}
}

// How long settling may take after the last task when no grace period says so,
// and how long after we were told to hurry.
const (
	settleTime = 15 * time.Second
	hurryTime  = 5 * time.Second
)

// lastMoment is when we leave whatever is open: the broker or the backend may be
// away. Zero: we wait.
func (l *loop) lastMoment() time.Time {
	var end time.Time
	if l.cfg.Grace > 0 {
		end = l.drainedAt.Add(l.cfg.Grace - l.cfg.GraceMargin/4)
	}
	if l.hurried {
		end = earliest(end, l.hurriedAt.Add(hurryTime))
	}
	if l.poolEmpty && end.IsZero() {
		if l.emptySince.IsZero() {
			l.emptySince = l.now
		}
		end = l.emptySince.Add(settleTime)
	}
	return end
}
