package leader

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"crisper/beat"
	"crisper/beat/app"
	"crisper/beat/planner"
)

// begin announces the app, and plans when that is done or takes too long.
func (t *term) begin() {
	now, _ := t.apps.current()
	t.app = now.app
	if t.announce(now) {
		wait := time.AfterFunc(announceFor, func() { t.post(t.refreshFirst) })
		context.AfterFunc(t.ctx, func() { wait.Stop() })
		return
	}
	t.refreshFirst()
}

func (t *term) refreshFirst() {
	if t.version == 0 {
		t.refresh()
	}
}

// announce sends beat_init, unless this timekeeper has had it from this term.
func (t *term) announce(now loaded) bool {
	if now.app == nil || now.generation == t.announced {
		return false
	}
	t.announced = now.generation
	t.other(func() {
		changed, err := now.app.Announce(t.work)
		t.post(func() { t.onAnnounced(now.app, changed, err) })
	})
	return true
}

func (t *term) onAnnounced(of *app.App, changed bool, err error) {
	if err != nil && !errors.Is(err, app.ErrGone) && t.work.Err() == nil {
		t.log.Error("a receiver of beat_init has failed", zap.Error(err))
	}
	if changed {
		t.apps.reread(of)
	}
	t.refresh()
}

// onChange: the app was reloaded, died, or has read its entries anew.
func (t *term) onChange() {
	now, _ := t.apps.current()
	t.app = now.app
	if t.app != nil {
		t.askAgain()
	}
	if t.announce(now) {
		return // what follows comes with its answer
	}
	if now.version != t.version && now.app != nil && t.version != 0 {
		t.refresh()
	}
}

// refresh plans by the entries as they are now.
func (t *term) refresh() {
	now, _ := t.apps.current()
	if now.version == t.version {
		return
	}
	t.version, t.wanted = now.version, now.plan
	if strings.Join(now.info.Broker.URLs, " ") != strings.Join(t.info.Broker.URLs, " ") {
		t.log.Warn("the app names another broker now; it is used when this process is started again")
	}
	t.drop()
	t.register()
}

// drop takes entries that are gone out of the lanes before their records are dropped:
// a tick that is sent after that would make a record anew.
func (t *term) drop() {
	if !t.begun {
		return
	}
	stays := make(map[string]bool, len(t.wanted.names))
	for _, name := range t.wanted.names {
		stays[name] = true
	}
	gone := func(e planner.Entry) bool { return !stays[e.Name] }
	for _, l := range []struct {
		lane    *lane
		entries []planner.Entry
	}{{t.own, t.plan.own}, {t.asked, t.plan.asked}} {
		if slices.ContainsFunc(l.entries, gone) {
			t.step(l.lane, planner.Reloaded{Entries: slices.DeleteFunc(slices.Clone(l.entries), gone)})
		}
	}
}

// register asks for the records, and begins or goes on with them.
func (t *term) register() {
	t.registerAt = time.Time{}
	if t.registering {
		t.stale = true
		return
	}
	t.registering, t.stale = true, false
	p := t.wanted
	t.jobs <- func() { // there is room: see lead
		records, err := t.registerNow(p)
		t.post(func() { t.onRegistered(p, records, err) })
	}
}

func (t *term) registerNow(p plan) (map[string]beat.Record, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	// A wrong clock would make records that hold entries up.
	if err := t.clock.sync(t.work); err != nil {
		return nil, errors.Join(beat.ErrUnavailable, err)
	}
	fresh := make(map[string]beat.Record, len(p.names))
	now := t.clock.now()
	for _, name := range p.names {
		fresh[name] = beat.Record{Last: now}
	}
	for name, r := range t.imported {
		if _, known := fresh[name]; known && !r.Last.After(now) {
			fresh[name] = r
		}
	}
	return t.site.Publisher.Register(t.work, t.it.Token, fresh)
}

func (t *term) onRegistered(p plan, records map[string]beat.Record, err error) {
	t.registering = false
	switch {
	case t.over || t.ended():
		return
	case err != nil:
		if wait := t.failed("cannot register the entries", err); wait > 0 {
			t.registerAt = time.Now().Add(wait)
		}
		return
	case t.stale:
		t.register()
		return
	}
	t.answered()
	t.plan = p
	if !t.begun {
		t.begun = true
		t.log.Info("leading", zap.Uint64("token", t.it.Token), zap.Int("entries", len(p.entries)))
		t.step(t.own, planner.Loaded{Entries: p.own, Records: records})
		t.step(t.asked, planner.Loaded{Entries: p.asked, Records: records})
		return
	}
	t.log.Info("entries reloaded", zap.Int("entries", len(p.entries)))
	t.step(t.own, planner.Reloaded{Entries: p.own, Records: records})
	t.step(t.asked, planner.Reloaded{Entries: p.asked, Records: records})
}
