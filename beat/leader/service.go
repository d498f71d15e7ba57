package leader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"crisper/beat"
	"crisper/beat/app"
	"crisper/beat/lease"
	"crisper/beat/ops"
	"crisper/supervisor/process"
)

// service is the replica, from its start to its end.
type service struct {
	cfg     Config
	deps    Deps
	log     *zap.Logger
	clock   clock
	apps    *apps
	metrics *ops.Metrics
	board   board
	begun   time.Time

	stop context.CancelCauseFunc // ends the campaign, and with it Run

	// Set once, before the campaign begins.
	info    app.Info
	site    Site
	elector *lease.Elector
	child   Child // nil: the ticks are ours
	why     string

	// imported is what Celery's own scheduler has left behind, for entries that have no
	// record yet.
	imported map[string]beat.Record

	loopAt      atomic.Int64 // of the signal loop, in ns of Unix time
	campaigning atomic.Bool
	stopping    atomic.Bool
	termHealth  atomic.Pointer[ops.TermHealth]
	term        atomic.Pointer[term] // whom pages may ask
}

// errStop is the cause of an end that was asked for.
var errStop = errors.New("told to stop")

// Run is one replica. It returns nil when it was told to stop, and otherwise why it
// cannot go on.
func Run(ctx context.Context, cfg Config, deps Deps) (err error) {
	defer func() {
		if err != nil {
			process.TerminationMessage(cfg.TerminationLog, fmt.Sprintf("crisper beat: %v", err))
		}
	}()
	if err := cfg.Validate(); err != nil {
		return err
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = zap.NewNop()
	}
	s := &service{
		cfg: cfg, deps: deps, log: deps.Log, clock: clock{own: deps.Now}, apps: newApps(cfg.App, cfg.CatchUp, deps.Log),
		metrics: ops.NewMetrics(deps.Version), begun: time.Now(),
	}
	pages, closePages := context.WithCancel(context.WithoutCancel(ctx))
	defer closePages()
	campaign, stop := context.WithCancelCause(ctx)
	defer stop(errStop)
	s.stop = stop
	s.loopAt.Store(time.Now().UnixNano())
	go s.listen(pages)
	defer s.serve(pages).Leave()
	err = s.run(campaign)
	s.stopping.Store(true)
	s.apps.close()
	if s.site.Close != nil {
		s.site.Close()
	}
	return err
}

// fail ends the replica with an error.
func (s *service) fail(err error) { s.stop(err) }

// ending is the error of a campaign that has ended.
func (s *service) ending(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, errStop) && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (s *service) run(ctx context.Context) error {
	s.log.Info("loading the app", zap.String("app", s.cfg.App.App))
	if err := s.apps.load(ctx); err != nil {
		if ctx.Err() != nil {
			return s.ending(ctx)
		}
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	if s.child == nil {
		s.importFile(ctx)
		go s.apps.run(ctx)
	} else {
		s.apps.close() // it was asked what it had to be: the child loads the app itself
		defer s.child.Close()
	}
	go s.watch(ctx)
	s.campaigning.Store(true)
	s.log.Info("campaigning", zap.String("for", s.site.Backend.String()), zap.String("holder", s.elector.Holder()), zap.String("schedule", s.site.Schedule))
	err := s.elector.Run(ctx, s.leadTerm)
	if ending := s.ending(ctx); ending != nil {
		return ending
	}
	return err
}

// open finds out who publishes, and where.
func (s *service) open() error {
	now, _ := s.apps.current()
	s.info = now.info
	site, err := s.deps.Open(s.info)
	if err != nil {
		return err
	}
	s.site = site
	s.clock.ask = site.Clock
	options := s.cfg.Lease
	options.Log = s.log
	s.elector = lease.New(site.Backend, options)
	if s.why = NeedsCelery(s.info); s.why == "" {
		return nil
	}
	s.log.Warn("the leader runs `celery beat`", zap.String("why", s.why))
	s.child, err = s.deps.NewChild(s.info, s.why)
	return err
}

// importFor bounds the reading of a schedule file; one of 100 000 entries takes seconds.
const importFor = time.Minute

// importFile reads Celery's schedule file, before the campaign: nobody waits for a
// follower.
func (s *service) importFile(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, importFor)
	defer cancel()
	now, _ := s.apps.current()
	records, err := now.app.Import(ctx, "")
	if err != nil {
		s.log.Warn("cannot read the schedule file of celery beat; entries that are new here count from now", zap.Error(err))
		return
	}
	if s.imported = records; len(records) > 0 {
		s.log.Info("the schedule file of celery beat was read", zap.String("file", s.info.ScheduleFilename), zap.Int("entries", len(records)))
	}
}

// NeedsCelery says why an app needs Celery's own beat; "" when it does not.
func NeedsCelery(info app.Info) string {
	if !info.Native {
		return "the scheduler is " + info.Scheduler
	}
	if len(info.Needs) > 0 {
		return info.Needs[0]
	}
	return ""
}

func (s *service) leadTerm(ctx context.Context, it lease.Term) {
	if s.child == nil {
		s.lead(ctx, it)
		return
	}
	s.metrics.TermBegan(it.Token)
	defer s.metrics.TermEnded()
	if err := s.child.Lead(ctx, it); err != nil && ctx.Err() == nil {
		s.fail(err)
	}
}

// listen reads the signals, and shows the probe that this process is not stuck.
func (s *service) listen(ctx context.Context) {
	ticker := time.NewTicker(turnEvery)
	defer ticker.Stop()
	for {
		s.loopAt.Store(time.Now().UnixNano())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case sig := <-s.deps.Signals:
			s.onSignal(sig)
		}
	}
}

func (s *service) onSignal(sig os.Signal) {
	switch sig {
	case syscall.SIGHUP:
		s.reload("HUP")
	case syscall.SIGUSR1:
		s.dump()
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
		s.leave(sig.String())
	}
}

// leave ends the replica as it was asked to.
func (s *service) leave(why string) {
	if s.stopping.Swap(true) {
		return
	}
	s.log.Info("beat: Shutting down...", zap.String("signal", why)) // Celery: beat.py, Service.stop (5.7)
	s.stop(errStop)
}

// reload loads the app again, and has a child do it.
func (s *service) reload(why string) {
	if s.stopping.Load() || !s.campaigning.Load() {
		s.log.Warn("the app is not loaded again: it is only starting, or ending", zap.String("asked_by", why))
		return
	}
	if s.child != nil {
		s.child.Reload()
		return
	}
	s.apps.reload()
}

func (s *service) dump() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state, err := s.state(ctx)
	if err != nil {
		s.log.Warn("cannot tell the state", zap.Error(err))
		return
	}
	s.log.Warn("state", zap.Any("state", state))
}
