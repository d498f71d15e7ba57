package leader

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"crisper/beat/app"
)

// loaded is an app as it was last read.
type loaded struct {
	app        *app.App // nil: its process has ended
	info       app.Info
	entries    []app.Entry
	plan       plan // what is made of them
	generation int  // of the timekeeper
	version    int  // grows with every change of the above
}

// apps keeps one timekeeper: it loads it, replaces it and starts another when it
// dies. Its methods may be called from any goroutine.
type apps struct {
	options app.Options
	window  time.Duration // --catch-up-window
	log     *zap.Logger

	mu      sync.Mutex
	now     loaded
	trouble error           // why the app could not be loaded the last time
	told    []chan struct{} // capacity 1: that something has changed, not what
	born    time.Time       // of the current timekeeper

	reloads chan struct{} // capacity 1: the wish, not how often
	died    chan *app.App // capacity 1: one process at a time is ours
}

func newApps(options app.Options, window time.Duration, log *zap.Logger) *apps {
	return &apps{options: options, window: window, log: log, reloads: make(chan struct{}, 1), died: make(chan *app.App, 1)}
}

// load loads the app for the first time.
func (a *apps) load(ctx context.Context) error {
	started, err := app.Start(ctx, a.options)
	if err != nil {
		return err
	}
	a.take(started)
	return nil
}

// take makes a timekeeper the current one, and ends the one before.
func (a *apps) take(started *app.App) {
	info, entries := started.Info(), started.Entries()
	made := makePlan(entries, policyOf(info, a.window))
	a.report(info, made)
	a.mu.Lock()
	before := a.now.app
	a.trouble, a.born = nil, time.Now()
	a.now = loaded{app: started, info: info, entries: entries, plan: made, generation: a.now.generation + 1, version: a.now.version + 1}
	a.tell()
	a.mu.Unlock()
	go func() {
		<-started.Done()
		select {
		case a.died <- started:
		default: // another death has not been looked at: then ours is seen with it
		}
	}()
	if before != nil {
		go before.Close() //nolint:errcheck // it always ends
	}
}

// report names what the app's people should know.
func (a *apps) report(info app.Info, made plan) {
	for name, why := range made.invalid {
		a.log.Error("an entry cannot run; the others do", zap.String("entry", name), zap.String("error", why))
	}
	for _, asked := range made.asked {
		if e := made.entries[asked.Name]; e.Ask != "" {
			a.log.Info("messages are made by the app, one by one", zap.String("entry", e.Name), zap.String("why", e.Ask))
		}
	}
	a.log.Info("app loaded", zap.String("app", info.AppName), zap.String("celery", info.Celery), zap.String("python", info.Python),
		zap.Int("entries", len(made.names)), zap.Int("made_by_the_app", len(made.asked)), zap.Int("invalid", len(made.invalid)),
		zap.Float64("import_seconds", info.PreloadSeconds), zap.Float64("entries_seconds", info.EntriesSeconds))
}

// current is the app as last read.
func (a *apps) current() (loaded, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now, a.trouble
}

// reread takes over the entries of a timekeeper that has read them anew.
func (a *apps) reread(of *app.App) {
	entries := of.Entries()
	made := makePlan(entries, policyOf(of.Info(), a.window))
	a.report(of.Info(), made)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now.app == of {
		a.now.entries, a.now.plan = entries, made
		a.now.version++
		a.tell()
	}
}

// changes is told when current has changed.
func (a *apps) changes() (told <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, c)
	return c, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		for i := range a.told {
			if a.told[i] == c {
				a.told = append(a.told[:i:i], a.told[i+1:]...)
				return
			}
		}
	}
}

// tell is called with the lock held.
func (a *apps) tell() {
	for _, c := range a.told {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// reload asks for the app to be loaded again.
func (a *apps) reload() {
	select {
	case a.reloads <- struct{}{}:
	default:
	}
}

// Pauses before a timekeeper that has died is started again.
const (
	leastPause = 500 * time.Millisecond
	mostPause  = time.Minute
)

// run reloads and restarts until ctx ends.
func (a *apps) run(ctx context.Context) {
	pause := leastPause
	retry := time.NewTimer(0)
	retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.reloads:
			a.replace(ctx, "reload")
		case dead := <-a.died:
			if !a.lost(dead) {
				continue
			}
			if pause = min(2*pause, mostPause); a.age() > mostPause {
				pause = leastPause
			}
			retry.Reset(pause)
		case <-retry.C:
			if !a.replace(ctx, "restart") {
				pause = min(2*pause, mostPause)
				retry.Reset(pause)
			}
		}
	}
}

// age is how long ago the timekeeper was loaded: one that dies young dies again.
func (a *apps) age() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.born)
}

// lost notes that a timekeeper has died; false when it was not the current one.
func (a *apps) lost(dead *app.App) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now.app != dead && !gone(a.now.app) {
		return false
	}
	a.now.app = nil
	a.now.version++
	a.tell()
	a.log.Error("the timekeeper has died; it is started again, and what needs no Python goes on", zap.Int("pid", dead.PID()))
	return true
}

func gone(of *app.App) bool {
	if of == nil {
		return false
	}
	select {
	case <-of.Done():
		return true
	default:
		return false
	}
}

// loadTimeout bounds a reload: the import of a large app, and then some.
const loadTimeout = 5 * time.Minute

// replace loads the app again. When that fails the old one stays.
func (a *apps) replace(ctx context.Context, why string) bool {
	if now, _ := a.current(); why == "restart" && now.app != nil {
		return true // a reload has come first
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	a.log.Info("loading the app", zap.String("why", why))
	started, err := app.Start(ctx, a.options)
	if err != nil {
		a.mu.Lock()
		a.trouble = err
		a.mu.Unlock()
		if !errors.Is(ctx.Err(), context.Canceled) {
			a.log.Error("cannot load the app; its entries stay as they were", zap.String("why", why), zap.Error(err))
		}
		return false
	}
	a.take(started)
	return true
}

// kick ends a timekeeper that does not answer; run starts another.
func (a *apps) kick(which *app.App) {
	a.log.Error("the timekeeper does not answer; it is replaced", zap.Int("pid", which.PID()))
	go which.Close() //nolint:errcheck // it always ends
}

// close ends the timekeeper; it is not waited for longer than that takes it when it
// is idle. The kernel ends one that hangs together with us.
func (a *apps) close() {
	now, _ := a.current()
	if now.app == nil {
		return
	}
	done := make(chan struct{})
	go func() { _ = now.app.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(lastWait):
	}
}

const lastWait = 300 * time.Millisecond
