package celery

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/agent"
	"crisper/supervisor/celery/held"
)

const (
	// recordFor bounds how long it is tried to record what went with one worker.
	recordFor = 2 * time.Minute
	// recordAgain is the pause between two tries.
	recordAgain = time.Second
	// clerkStarts is how often a clerk is started for one worker's tasks: an app that
	// does not load, or ends who records, will do so the next time.
	clerkStarts = 3
	// clerkIdle is how long one waits for more: the next worker may die of the same.
	clerkIdle = 10 * time.Second
	// clerkLeaves is how long one may take to leave.
	clerkLeaves = 5 * time.Second
)

// lost are the tasks that went with one worker and will not be delivered again.
type lost struct {
	node   string
	reason string // of the WorkerLostError
	start  agent.Start
	tasks  []held.Task
	over   func() // called by the recorder when nothing more will come of it
}

// clerk is a process that records (agent.Recorder).
type clerk interface {
	Ready(context.Context) error
	Record(context.Context, agent.LostTask) (agent.Answer, error)
	Leave(context.Context)
}

// recorder has what became of tasks recorded by a process that has loaded their app. Both
// it and its goroutine are started when they are needed, which is seldom. What could not
// be recorded it says itself.
type recorder struct {
	log    *zap.Logger
	launch func(agent.Start) (clerk, error)
	life   context.Context
	end    context.CancelFunc
	over   chan struct{} // closed when the goroutine has ended
	wake   chan struct{} // of one: something was asked for

	mu      sync.Mutex // guards these
	running bool
	queue   []lost
	ahead   *agent.Start // to be ready before there is anything to record

	// The goroutine's.
	clerk  clerk
	warm   bool          // it waits for what will come soon
	polite time.Duration // how long it may take to leave in the end; set before end
}

func newRecorder(log *zap.Logger, launch func(agent.Start) (clerk, error)) *recorder {
	r := &recorder{log: log, launch: launch, over: make(chan struct{}), wake: make(chan struct{}, 1)}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// put leaves tasks to be recorded.
func (r *recorder) put(l lost) { r.ask(func() { r.queue = append(r.queue, l) }) }

// prepare has a clerk ready for what will come soon.
func (r *recorder) prepare(start agent.Start) { r.ask(func() { r.ahead = &start }) }

func (r *recorder) ask(what func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what()
	if !r.running {
		r.running = true
		go r.run()
	}
	select {
	case r.wake <- struct{}{}:
	default: // it will look
	}
}

// stop ends what is under way, and returns when what is not recorded has been said. A
// clerk that has nothing to do any more may take some time to leave.
func (r *recorder) stop(polite time.Duration) {
	r.mu.Lock()
	running := r.running
	r.running = true // nothing is begun any more
	r.mu.Unlock()
	r.polite = polite
	r.end()
	if running {
		<-r.over
	}
}

func (r *recorder) run() {
	defer close(r.over)
	for {
		for r.step() {
		}
		var idle <-chan time.Time
		if r.clerk != nil && !r.warm {
			idle = time.After(clerkIdle)
		}
		select {
		case <-r.wake:
		case <-idle:
			r.dismiss(clerkLeaves)
		case <-r.life.Done():
			for r.step() { // says what is not recorded
			}
			r.dismiss(r.polite)
			return
		}
	}
}

// step does one thing that was asked for.
func (r *recorder) step() bool {
	r.mu.Lock()
	ahead := r.ahead
	r.ahead = nil
	var next []lost
	if len(r.queue) > 0 {
		next, r.queue = r.queue[:1], r.queue[1:]
	}
	r.mu.Unlock()
	if ahead != nil {
		ctx, cancel := context.WithTimeout(r.life, recordFor)
		defer cancel()
		err := r.ready(ctx, *ahead)
		r.warm = err == nil
		if err != nil && r.life.Err() == nil {
			r.log.Warn("tasks that will go with their worker may not be recorded", zap.Error(err))
		}
	}
	for _, l := range next {
		r.record(l)
		l.over()
	}
	return ahead != nil || len(next) > 0
}

// ready has a clerk that has loaded the app.
func (r *recorder) ready(ctx context.Context, start agent.Start) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.clerk == nil {
		if r.clerk, err = r.launch(start); err != nil {
			r.clerk = nil
			return err
		}
	}
	if err = r.clerk.Ready(ctx); err != nil {
		r.dismiss(0)
	}
	return err
}

func (r *recorder) dismiss(within time.Duration) {
	if r.clerk == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	r.clerk.Leave(ctx)
	r.clerk, r.warm = nil, false
}

// record has all of one worker's tasks recorded, as far as that can be. One after the
// other is tried, again and again: what ails one need not ail the next.
func (r *recorder) record(l lost) {
	ctx, cancel := context.WithTimeout(r.life, recordFor)
	defer cancel()
	book := newBook(l)
	for starts := 0; len(book.open) > 0; {
		if r.clerk == nil {
			starts++
		}
		if err := r.ready(ctx, l.start); err != nil {
			book.fail(err)
		} else if err := book.round(ctx, r.clerk); err != nil {
			book.fail(err)
			r.dismiss(0)
		}
		if ctx.Err() != nil || len(book.open) > 0 && r.clerk == nil && starts >= clerkStarts {
			break
		}
		if len(book.open) > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(recordAgain):
			}
		}
	}
	book.tell(r.log)
}

// launcher starts clerks for workers with this environment, which had to be found by
// somebody else when a worker does not say by what it is run. forget removes the files
// that they were started from.
func launcher(cfg agent.RecorderConfig, python string) (launch func(agent.Start) (clerk, error), forget func()) {
	forgetFiles := func() {}
	launch = func(start agent.Start) (clerk, error) {
		if cfg.Dir == "" {
			dir, cleanup, err := agent.Unpack("")
			if err != nil {
				return nil, err
			}
			cfg.Dir, forgetFiles = dir, cleanup
		}
		if cfg.Start = start; start.Executable == "" {
			cfg.Start.Executable = python
		}
		return agent.LaunchRecorder(cfg)
	}
	return launch, func() { forgetFiles() }
}
