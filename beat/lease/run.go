package lease

import (
	"context"
	"errors"
	"time"

	"crisper/beat/lease/election"

	"go.uber.org/zap"
)

// mostEvents: at most one call and one term's work are under way, and each brings
// one event, so that no goroutine waits to deliver its own.
const mostEvents = 2

// run is one Run: its loop owns everything here.
type run struct {
	*Elector
	ctx     context.Context
	lead    func(context.Context, Term)
	machine *election.Machine
	log     *zap.Logger
	events  chan election.Event

	term   *termContext       // nil when there is none
	cancel context.CancelFunc // of the call under way
	done   bool
	err    error
}

// loop is the only goroutine that steps the machine. Everything that may wait runs
// in a goroutine of its own and comes back as an event.
func (r *run) loop() error {
	stop := r.ctx.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	r.step(election.Started{})
	for !r.done {
		r.arm(timer)
		select {
		case event := <-r.events:
			r.step(event)
		case <-timer.C:
			r.step(election.Woke{})
		case <-stop:
			stop = nil
			r.step(election.StopReceived{})
		}
	}
	return r.err
}

// arm sets the timer; without a next wake-up it is stopped.
func (r *run) arm(timer *time.Timer) {
	wake := r.machine.NextWake()
	if wake.IsZero() {
		timer.Stop()
		return
	}
	timer.Reset(time.Until(wake))
}

func (r *run) step(event election.Event) {
	r.machine.Raise(r.floor.Load())
	for _, action := range r.machine.Step(time.Now(), event) {
		r.act(action)
	}
	r.note(func(s *Status) { r.describe(s, event) })
}

func (r *run) describe(s *Status, event election.Event) {
	s.State, s.Leader, s.Trouble = r.machine.State().String(), "", r.machine.Trouble()
	if record := r.machine.Record(); record.Held() {
		s.Leader = record.Holder
	}
	switch event.(type) {
	case election.Answered, election.Wrote, election.Conflicted:
		s.Seen = time.Now()
	}
}

func (r *run) act(action election.Action) {
	switch a := action.(type) {
	case election.Call:
		r.start(a)
	case election.CancelCall:
		r.cancel()
	case election.BeginTerm:
		r.begin(a)
	case election.ExtendTerm:
		r.term.times.set(a.Deadline, a.Expiry)
	case election.EndTerm:
		r.end(a.Reason)
	case election.Report:
		r.log.Warn("election in trouble", zap.Stringer("at", a.Purpose), zap.Duration("lasting", a.Lasting), zap.Error(a.Err))
	case election.Recovered:
		r.log.Info("election recovered", zap.Duration("after", a.Lasting))
	case election.Finish:
		r.done, r.err = true, a.Err
	}
}

// start makes a call. It does not end with ctx: the release comes after that.
func (r *run) start(c election.Call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), c.Timeout)
	r.cancel = cancel
	go func() {
		defer cancel()
		r.events <- r.call(ctx, c)
	}()
}

func (r *run) call(ctx context.Context, c election.Call) election.Event {
	var record Record
	var err error
	if c.Purpose == election.Look {
		record, err = r.backend.Read(ctx)
	} else {
		c.Next.Renewed = time.Now()
		record, err = r.backend.Write(ctx, c.Prev, c.Next)
	}
	var refusal *Refusal
	switch {
	case errors.Is(err, ErrConflict):
		return election.Conflicted{}
	case err != nil:
		return election.Failed{Err: err, Refused: errors.As(err, &refusal)}
	case c.Purpose == election.Look:
		return election.Answered{Record: record}
	}
	return election.Wrote{Record: record}
}

func (r *run) begin(a election.BeginTerm) {
	t := &times{start: time.Now()}
	t.set(a.Deadline, a.Expiry)
	r.term = newTermContext(context.WithoutCancel(r.ctx), t)
	r.log.Info("term began", zap.Uint64("token", a.Token))
	r.note(func(s *Status) { s.Token = a.Token })
	ctx, term := r.term, Term{Token: a.Token, Holder: r.opts.Holder, times: t}
	go func() {
		r.lead(ctx, term)
		r.events <- election.LeadReturned{}
	}()
}

func (r *run) end(why election.Reason) {
	r.term.close(why)
	var token uint64
	r.note(func(s *Status) { token, s.Token = s.Token, 0 })
	r.log.Info("term ended", zap.Uint64("token", token), zap.String("reason", string(why)))
}
