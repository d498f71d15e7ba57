package celery

import (
	"context"
	"os"
	"os/exec"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/agent"
	"crisper/supervisor/celery/hang"
	"crisper/supervisor/ops"
)

// Attendant puts the agent into one `celery worker` that somebody else starts and ends
// (crisper exec), and looks after it. Its methods are called by one goroutine, in the
// order in which they stand here; Describe at any time after Prepare.
type Attendant struct {
	care   Care
	log    *zap.Logger
	node   string
	w      *warden
	c      *child
	theirs []*os.File
	forget func()
	heard  chan struct{} // closed when all that the agent said was read

	events chan func()
	over   chan struct{} // closed when nothing is to be done any more
	stop   context.CancelFunc
	back   chan struct{} // to be closed when nothing is on its way back; nil: nobody asks
	idle   chan struct{} // the same, when nothing is being recorded either
}

// NewAttendant does nothing yet. name is the command's, for people.
func NewAttendant(care Care, log *zap.Logger, name string) *Attendant {
	return &Attendant{care: care, log: log, node: name}
}

// Prepare returns the environment and the extra files of the worker. end is
// called when the worker hangs; a deaf one has to be killed. start starts what the
// attendant needs itself.
func (a *Attendant) Prepare(env []string, metrics *ops.Metrics, start func(*exec.Cmd) (func() error, error), end func(deaf bool)) ([]string, []*os.File, error) {
	dir, forget, err := unpack()
	if err != nil {
		return nil, nil, err
	}
	a.c = &child{id: 1, node: a.node, begun: time.Now()}
	theirs, err := a.c.connect()
	if err != nil {
		forget()
		return nil, nil, err
	}
	a.theirs = theirs
	a.heard = make(chan struct{})
	// The sender is the link's reader and the broker's answers, which may wait.
	a.events, a.over = make(chan func(), 16), make(chan struct{})
	w := newWarden(a.care, a.log, metrics)
	w.life, a.stop = context.WithCancel(context.Background())
	w.post = a.post
	w.ready = func(c *child) { c.ready = true }
	w.counted = func(c *child, now counts) { c.counts = now }
	w.hung = func(_ *child, h hang.Hung) { go end(h.Deaf) } // its owner may be asking us something
	w.children[a.c.id] = a.c
	launch, forgetClerk := launcher(agent.RecorderConfig{Env: env, Stdout: os.Stdout, Stderr: os.Stderr, Starter: starter(start)}, "")
	w.records = newRecorder(a.log, launch)
	a.forget = func() { forgetClerk(); forget() }
	a.w = w
	return injected(env, dir), theirs, nil
}

type starter func(*exec.Cmd) (func() error, error)

func (s starter) Start(cmd *exec.Cmd) (func() error, error) { return s(cmd) }

// Started: the worker is there.
func (a *Attendant) Started() {
	closeAll(a.theirs)
	go func() { a.w.listen(a.c.id, a.c.link); close(a.heard) }()
	go a.run()
}

// Failed: it could not be started.
func (a *Attendant) Failed() {
	closeAll(a.theirs)
	a.c.disconnect()
	a.stop()
	a.forget()
	close(a.over)
}

// Leaving: it was told to leave; what it does from now on is its own affair.
func (a *Attendant) Leaving() { a.post(func() { a.w.leaving, a.c.cut = true, true; a.w.leaves(a.c) }) }

// Ended: neither the worker nor what descends from it lives. It returns when what the
// worker held is back at the broker, and what became of its tasks recorded, or when the
// time for each is over.
func (a *Attendant) Ended(status string, within, record time.Duration) {
	begun := time.Now()
	a.post(func() { a.c.gone = true })
	hangUp(a.c.link)
	<-a.heard
	back, idle := make(chan struct{}), make(chan struct{})
	a.post(func() {
		a.w.watch.Left(uint64(a.c.id))
		a.w.giveBack(a.c, status)
		a.back, a.idle = back, idle
	})
	select {
	case <-back:
	case <-time.After(within):
		a.log.Error("what the worker held could not be given back in time: it comes back after the visibility timeout", zap.String("command", a.node))
	}
	select {
	case <-idle:
	case <-time.After(record - time.Since(begun)):
	}
	a.w.records.stop(min(time.Second, record-time.Since(begun)))
	a.stop()
	close(a.over)
	a.forget()
}

// Describe adds what the agent says to the state page.
func (a *Attendant) Describe(s *ops.State) {
	answered := make(chan struct{})
	a.post(func() {
		defer close(answered)
		s.Python, s.Celery, s.Tasks.Received = a.w.python, a.w.celery, int64(a.c.counts.Accepted)
		s.Deliveries.Active, s.Deliveries.Reserved = a.c.counts.Active, a.c.waiting()
		for i := range s.Slots {
			s.Slots[i].TasksDone = a.c.counts.Accepted - a.c.counts.Active
			a.c.describe(&s.Slots[i])
		}
	})
	select {
	case <-answered:
	case <-a.over:
	}
}

func (a *Attendant) post(do func()) {
	select {
	case a.events <- do:
	case <-a.over:
	}
}

func (a *Attendant) run() {
	defer a.w.closeKeepers()
	defer a.c.disconnect()
	timer := time.NewTimer(tickEvery)
	defer timer.Stop()
	for {
		timer.Reset(max(0, a.w.untilRound(tickEvery)))
		select {
		case do := <-a.events:
			do()
		case <-timer.C:
			a.w.tellCut()
		case <-a.over:
			return
		}
		a.w.keep()
		if a.back != nil && a.w.returning == 0 {
			close(a.back)
			a.back = nil
		}
		if a.idle != nil && a.w.returning == 0 && a.w.recording == 0 {
			close(a.idle)
			a.idle = nil
		}
	}
}
