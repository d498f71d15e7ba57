package reaper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// How many statuses that nobody asked about are kept, and for how long. A
// zygote's word of a fork arrives within milliseconds; a minute is for a machine
// that was suspended or starved.
const (
	unclaimedLimit = 1024
	unclaimedKeep  = time.Minute
)

// Reaper collects exit statuses; doc.go has the rules. There is one per process.
type Reaper struct {
	log *zap.Logger
	// wake asks Run for a look. Capacity 1: a look sees everything there is, so
	// that one request that has not been served yet is as good as many.
	wake chan struct{}

	// mu is held over every fork by Start and over every reaping, so that a pid
	// is either known in the maps below or not yet anybody's.
	mu        sync.Mutex
	owned     map[int]*exec.Cmd      // their Wait collects the status
	watched   map[int][]func(Status) // we collect it for these
	unclaimed unclaimed              // we collected it and nobody has asked yet
	due       []delivery             // to be told by Run
	orphans   int64                  // nobody ever asked
}

type delivery struct {
	fn     func(Status)
	status Status
}

// New returns a Reaper that knows no process. Nothing is reaped before Run.
func New(log *zap.Logger) *Reaper {
	return &Reaper{
		log:       log,
		wake:      make(chan struct{}, 1),
		owned:     make(map[int]*exec.Cmd),
		watched:   make(map[int][]func(Status)),
		unclaimed: unclaimed{limit: unclaimedLimit, keep: unclaimedKeep},
	}
}

// Run reaps until ctx ends and then returns nil; what ends later stays a zombie.
func (r *Reaper) Run(ctx context.Context) error {
	// Capacity 1: the kernel merges SIGCHLDs anyway, and a look sees everything.
	exits := make(chan os.Signal, 1)
	signal.Notify(exits, syscall.SIGCHLD)
	defer signal.Stop(exits)
	again, stop := lookAgain()
	defer stop()
	for {
		// The first look comes after Notify: what ended earlier sent its signal to
		// nobody.
		r.look()
		select {
		case <-exits:
		case <-r.wake:
		case <-again:
		case <-ctx.Done():
			return nil
		}
	}
}

// Start starts cmd as its own Start does and leaves its exit status to wait,
// which is cmd.Wait and must be called. Every exec.Cmd of the program must be
// started here, or its status may be taken from it.
func (r *Reaper) Start(cmd *exec.Cmd) (wait func() error, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", cmd.Path, err)
	}
	r.owned[cmd.Process.Pid] = cmd
	return sync.OnceValue(func() error {
		err := cmd.Wait()
		r.disown(cmd)
		return err
	}), nil
}

// disown forgets a command that was waited for. The kernel may have given its
// pid to another process since, even to another command.
func (r *Reaper) disown(cmd *exec.Cmd) {
	r.mu.Lock()
	if r.owned[cmd.Process.Pid] == cmd {
		delete(r.owned, cmd.Process.Pid)
	}
	r.mu.Unlock()
	r.ask() // what was hidden behind it can be seen now
}

// Watch has fn told, once, how the process pid ended. It is for processes that
// others forked and that are our children by adoption. fn is called by Run and
// never by Watch, also when the process has ended already; it may call any
// method of the Reaper, and as long as it blocks nothing is reaped.
func (r *Reaper) Watch(pid int, fn func(Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	switch {
	case isChild(pid):
		// A status kept under this number is that of an earlier process.
		r.dropUnclaimed(pid)
		r.watched[pid] = append(r.watched[pid], fn)
	case r.claim(pid, fn):
	case isGone(pid):
		r.due = append(r.due, delivery{fn, Status{PID: pid, Code: -1, Unknown: true}})
	default: // not ours yet: its parent has not exited
		r.watched[pid] = append(r.watched[pid], fn)
	}
	r.ask()
}

// claim passes a kept status to fn.
func (r *Reaper) claim(pid int, fn func(Status)) bool {
	st, ok := r.unclaimed.take(pid)
	if ok {
		r.due = append(r.due, delivery{fn, st})
	}
	return ok
}

// Signal sends sig to a process that was started or is watched here, and to no
// other: it cannot reach a stranger that got the number of a process that ended.
// The error is os.ErrProcessDone when the pid is not known (any more).
func (r *Reaper) Signal(pid int, sig syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A watched process is at worst a zombie while we hold the lock. The watched
	// come first, because a command whose Wait has just returned may still be
	// noted under a number that is another's now.
	if _, ok := r.watched[pid]; ok {
		if err := syscall.Kill(pid, sig); err != nil {
			return fmt.Errorf("cannot send %s to process %d: %w", signalText(sig), pid, done(err))
		}
		return nil
	}
	cmd, ok := r.owned[pid]
	if !ok {
		return fmt.Errorf("cannot send %s to process %d: %w", signalText(sig), pid, os.ErrProcessDone)
	}
	// os.Process has the same guarantee for itself (a pidfd, or its own lock).
	if err := cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("cannot send %s to process %d: %w", signalText(sig), pid, err)
	}
	return nil
}

func done(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// Orphans counts the processes whose status was collected and that nobody asked
// about: those of other programs' making that died as our children.
func (r *Reaper) Orphans() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	return r.orphans
}

func (r *Reaper) expire() { r.orphans += int64(r.unclaimed.expire(time.Now())) }

func (r *Reaper) dropUnclaimed(pid int) {
	if _, ok := r.unclaimed.take(pid); ok {
		r.orphans++
	}
}

// ask asks Run for a look.
func (r *Reaper) ask() {
	select {
	case r.wake <- struct{}{}:
	default: // a request is there already
	}
}
