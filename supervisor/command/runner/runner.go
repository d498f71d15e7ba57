package runner

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/command"
	"crisper/supervisor/ops"
	"crisper/supervisor/process"
	"crisper/supervisor/reaper"
)

// Config is everything `crisper exec` was told.
type Config struct {
	// Args is the command and its arguments; not empty.
	Args []string
	// Command says how it is treated.
	Command command.Config
	// HTTP is the address of the probes and metrics, Socket the path of the admin
	// socket; empty: off.
	HTTP, Socket string
	// TerminationLog is where the last words go; empty: nowhere.
	TerminationLog string
	// OOMScoreAdj of the command; 0: as ours.
	OOMScoreAdj int
}

// Deps is what the outside gives to Run.
type Deps struct {
	Log *zap.Logger
	// Signals are all that are to be passed on; what came before Run is in it.
	Signals               <-chan os.Signal
	Stdin, Stdout, Stderr *os.File
	Version               string
	// Guest looks after the command; nil: nobody does.
	Guest Guest
}

// Guest is what is put into a command and looks after it beside us: the agent in a
// `celery worker`. The methods are called by one goroutine.
type Guest interface {
	// Prepare returns the command's environment and its extra files. end is called,
	// by any goroutine, when the command has to go: killed, if it is deaf to signals.
	// start starts processes of the guest's own, and leaves their end to wait.
	Prepare(env []string, metrics *ops.Metrics, start func(*exec.Cmd) (wait func() error, err error), end func(deaf bool)) ([]string, []*os.File, error)
	Started()
	Failed()
	// Leaving: it was told to leave.
	Leaving()
	// Ended: nothing of it lives. It returns when all is done, or when the time is over:
	// within, for what it held, and record, for what became of what it did.
	Ended(status string, within, record time.Duration)
	Describe(*ops.State)
}

// Run runs the command to its end. It returns the exit code of the process and,
// when the code alone does not say it, what to tell people.
func Run(ctx context.Context, cfg Config, deps Deps) (exit int, why string, err error) {
	machine, err := command.New(cfg.Command)
	if err != nil {
		return 2, "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	registry := ops.NewRegistry()
	l := &loop{
		cfg: cfg, deps: deps, log: deps.Log, machine: machine, metrics: ops.NewMetrics(registry),
		reaper: reaper.New(deps.Log), meter: process.NewTreeMeter(), begun: time.Now(),
		// Room for the end, a sweep, a measurement and some questions: their senders
		// are goroutines of ours that wait, and the loop is never slow.
		events: make(chan func(), 16), over: make(chan struct{}),
	}
	l.metrics.Build(deps.Version)
	l.openCgroup()
	reaped := l.reap(ctx)
	defer func() { cancel(); <-reaped }() // nothing is collected for us after our end
	defer l.serve(ctx, registry).Leave()
	l.run(ctx)
	process.TerminationMessage(cfg.TerminationLog, lastWords(l.exit, l.why))
	return l.exit, l.why, nil
}

// lastWords are empty when the status says all: then Kubernetes may show the end
// of the command's own log instead.
func lastWords(exit int, why string) string {
	if exit == 0 || why == "" {
		return ""
	}
	return "crisper exec: " + why
}

// loop owns the machine. Everything below is touched by its goroutine only, but
// for events, over, health and what never changes.
type loop struct {
	cfg     Config
	deps    Deps
	log     *zap.Logger
	machine *command.Machine
	metrics *ops.Metrics
	reaper  *reaper.Reaper
	meter   *process.Meter // by one measurement at a time
	cgroup  *process.Cgroup
	begun   time.Time
	told    time.Time // to leave

	events chan func()
	over   chan struct{} // closed when the loop has ended
	health atomic.Pointer[ops.Health]

	next      []command.Event // answers that came while acting
	guest     Guest           // nil: there is none, or it has nothing to do yet or any more
	text      string          // how the command ended
	measuring bool
	measured  time.Time // when a measurement was last begun
	startedAt time.Time
	// foreground: the command has the terminal that we had.
	foreground bool
	memory     process.Memory // the newest
	recall     process.Recall
	tree       []command.Process
	recent     []ops.TransitionState // newest first
	done       bool
	exit       int
	why        string
}

// recentKept is how many transitions the state page shows; a command has few.
const recentKept = 32

// reap starts the reaper; the channel is closed when it has ended.
func (l *loop) reap(ctx context.Context) <-chan struct{} {
	if err := reaper.BecomeSubreaper(); err != nil {
		l.log.Warn("cannot become a subreaper; orphans of the command go to PID 1", zap.Error(err))
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := l.reaper.Run(ctx); err != nil && ctx.Err() == nil {
			l.log.Error("the reaper ended", zap.Error(err))
		}
	}()
	return ended
}

func (l *loop) openCgroup() {
	group, err := process.OpenCgroup("", "")
	if err != nil {
		l.log.Info("no memory cgroup to watch", zap.Error(err))
		return
	}
	l.cgroup = group
	l.memory, _ = group.Usage() // a zero Memory is one that is not known
	l.recall.Note(time.Now(), l.memory)
}

// tickEvery is the longest pause between two turns: probes judge by them.
const tickEvery = time.Second

func (l *loop) run(ctx context.Context) {
	defer close(l.over)
	l.takeEarly()
	l.step(command.Opened{})
	timer := time.NewTimer(0)
	defer timer.Stop()
	told := ctx.Done()
	for !l.done {
		timer.Reset(l.pause())
		select {
		case do := <-l.events:
			do()
		case sig := <-l.deps.Signals:
			l.onSignal(sig)
		case <-timer.C:
			l.act(l.machine.Tick(time.Now(), nil))
		case <-told:
			told = nil
			l.step(command.DrainRequested{})
		}
		l.measure()
		l.publish()
	}
}

// takeEarly sees what was signalled before we were ready to start anything.
func (l *loop) takeEarly() {
	for {
		select {
		case sig := <-l.deps.Signals:
			l.onSignal(sig)
		default:
			return
		}
	}
}

func (l *loop) pause() time.Duration {
	wait := tickEvery
	if at := l.measured.Add(l.measureEvery()); !l.measuring {
		wait = min(wait, time.Until(at))
	}
	if at := l.machine.NextWake(); !at.IsZero() {
		wait = min(wait, time.Until(at))
	}
	return max(wait, 0)
}

// post brings something into the loop; nothing when it has ended.
func (l *loop) post(do func()) {
	select {
	case l.events <- do:
	case <-l.over:
	}
}

// step feeds an event and what follows from acting upon it.
func (l *loop) step(ev command.Event) {
	l.next = append(l.next, ev)
	for len(l.next) > 0 {
		ev := l.next[0]
		l.next = l.next[1:]
		l.act(l.machine.Step(time.Now(), ev, nil))
	}
}

func (l *loop) name() string { return filepath.Base(l.cfg.Args[0]) }
