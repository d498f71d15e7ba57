package native

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/agent"
	"crisper/supervisor/pool"
)

// zygote is one generation of the preloaded app.
type zygote struct {
	generation pool.Generation
	proc       Zygote
	loaded     bool
	leaving    bool
	preload    float64
	startedAt  time.Time
}

// startGeneration loads the app afresh; the answer is an event.
func (l *loop) startGeneration() {
	if l.draining {
		return
	}
	l.newest++
	g := l.newest
	proc, err := l.deps.Launch(l.ctx, int(g))
	if err != nil {
		l.log.Error("cannot start a zygote", zap.Error(err))
		l.step(pool.GenerationLost{Generation: g})
		return
	}
	l.metrics.ZygoteStarted()
	l.adopt(g, proc)
}

// adopt listens to a zygote.
func (l *loop) adopt(g pool.Generation, proc Zygote) {
	l.zygotes[g] = &zygote{generation: g, proc: proc, startedAt: l.now}
	l.goes(func() {
		for ev := range proc.Events() {
			l.post(zygoteSaid{generation: g, said: ev})
		}
	})
}

func (l *loop) zygoteSaid(ev zygoteSaid) {
	z := l.zygotes[ev.generation]
	if z == nil {
		return
	}
	switch e := ev.said.(type) {
	case agent.LoadedEvent:
		l.onLoaded(z, e.Info)
	case agent.FailedEvent:
		l.reloadFailed(z, "the app did not load; going on with the one that runs", e.Err, zap.String("traceback", e.Traceback))
	case agent.ForkedEvent:
		if id := pool.ChildID(e.Child); isSteward(id) {
			l.stewardForked(id, e.PID)
		} else {
			l.childForked(id, e.PID)
		}
	case agent.ForkFailedEvent:
		l.forkFailed(pool.ChildID(e.Child), e.Err)
	case agent.NoticeEvent:
		l.log.Warn(e.Message, zap.Int("generation", int(z.generation)))
	case agent.ExitedEvent:
		l.zygoteExited(z, e.Status)
	}
}

func (l *loop) forkFailed(id pool.ChildID, err error) {
	if isSteward(id) {
		l.stewardGone(fmt.Sprint("cannot fork: ", err))
		return
	}
	if c := l.children[id]; c != nil {
		l.unborn(c, fmt.Sprint(err))
	}
}

// unborn ends the account of a child that has no process. Should one be forked
// all the same, its socket is closed and it leaves by itself.
func (l *loop) unborn(c *child, why string) {
	l.forgetChild(c)
	l.closeChild(c)
	l.step(pool.ForkFailed{Child: c.id, Reason: why})
}

// reloadFailed ends a generation that cannot take over; the one that runs goes on.
func (l *loop) reloadFailed(z *zygote, what string, err error, fields ...zap.Field) {
	l.log.Error(what, append(fields, zap.Int("generation", int(z.generation)), zap.Error(err))...)
	l.metrics.ReloadFailed()
	l.reloadError = what + ": " + err.Error()
	z.leaving = true
	l.step(pool.GenerationLost{Generation: z.generation})
}

// takes asks whether this runtime may run an app that was loaded again, as it was asked
// of the first: a change may ask for what only Celery's own worker has.
func (l *loop) takes(z *zygote, info agent.Info) bool {
	if l.deps.Judge == nil {
		return true
	}
	err := l.deps.Judge(info)
	if err != nil {
		l.reloadFailed(z, "the app cannot be taken over as it is now; going on with the one that runs; restart the worker to have the change", err)
		_ = z.proc.Quit() // gone already: all the better
	}
	return err == nil
}

// loading tells whether a generation is on its way.
func (l *loop) loading() bool {
	for _, z := range l.zygotes {
		if !z.loaded && !z.leaving {
			return true
		}
	}
	return false
}

// onLoaded makes this generation the one that children are forked from. Older
// zygotes leave; their children do not depend on them.
func (l *loop) onLoaded(z *zygote, info agent.Info) {
	if !l.takes(z, info) {
		return
	}
	z.loaded, z.preload = true, info.PreloadSeconds
	l.reloadError = ""
	for _, old := range l.zygotes {
		if old.generation < z.generation && !old.leaving {
			old.leaving = true
			old.proc.Quit()
		}
	}
	reload := l.generation != 0
	l.generation = z.generation
	l.setInfo(info)
	if reload {
		l.log.Info("app loaded again; replacing the children one by one",
			zap.Int("generation", int(z.generation)), zap.Float64("seconds", info.PreloadSeconds))
	}
	l.retireSteward()
	l.forkSteward()
	l.step(pool.GenerationReady{Generation: z.generation})
}

// retireSteward lets the steward of the old generation go when it is idle.
func (l *loop) retireSteward() {
	if s := l.steward; s != nil && l.asking == nil {
		l.steward = nil
		s.link.Close()
		s.page.Close()
	}
}

func (l *loop) zygoteExited(z *zygote, status string) {
	delete(l.zygotes, z.generation)
	for _, c := range slices.Clone(l.inOrder) {
		if c.generation == z.generation && c.pid == 0 {
			l.unborn(c, "the zygote died before it forked")
		}
	}
	if s := l.steward; s != nil && s.pid == 0 {
		l.stewardGone("the zygote died before it forked")
	}
	if z.leaving || l.leaving {
		return
	}
	if !z.loaded {
		l.reloadFailed(z, "the app did not load; going on with the one that runs", fmt.Errorf("the zygote left (%s)", status))
		return
	}
	l.log.Error("the zygote died; executors go on, loading the app again",
		zap.Int("generation", int(z.generation)), zap.String("status", status))
	l.step(pool.GenerationLost{Generation: z.generation})
}

// reload is SIGHUP: a new generation is loaded, the old one serves meanwhile.
func (l *loop) reload() {
	l.log.Info("reloading the app (SIGHUP)")
	l.startGeneration()
}

// patience spaces out attempts that fail in a row: at once the first time, then
// doubling up to ten seconds; half a minute of peace forgives.
type patience struct {
	last time.Time
	wait time.Duration
}

func (p *patience) next(now time.Time) time.Duration {
	if now.Sub(p.last) > 30*time.Second {
		p.wait = 0
	}
	p.last = now
	w := p.wait
	p.wait = min(max(2*p.wait, 100*time.Millisecond), 10*time.Second)
	return w
}
