package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// row is what the trials of one fault gave.
type row struct {
	Name     string `json:"name"`
	Title    string `json:"title"`
	Recovery string `json:"recovery_is"`
	Promise  string `json:"promise,omitempty"` // what must be 0, lateOnly or noneLost; empty: all that is lost or doubled
	Trials   int    `json:"trials"`
	verdict
	Evidence bool      `json:"evidence,omitempty"` // of what Celery's own client did
	Seconds  []float64 `json:"recovery_seconds"`
	// Notes are things promised that did not happen; Kept are the directories of
	// trials with something lost, doubled or noted; Errors are trials that could
	// not be carried out.
	Notes  []string `json:"notes,omitempty"`
	Kept   []string `json:"kept,omitempty"`
	Errors []string `json:"errors,omitempty"`
	// Skipped says why there are no trials.
	Skipped string `json:"skipped,omitempty"`
}

// clean: nothing lost, doubled, noted or failed.
func (r row) clean() bool {
	return r.broken(r.verdict)+len(r.Notes)+len(r.Errors) == 0
}

// runner carries out the trials of a row, on several lanes at once.
type runner struct {
	side          string
	trials, lanes int
	seed          uint64
	keep          bool // the directories of bad trials
	tolerance     tolerance
	say           func(string, ...any)

	mu     sync.Mutex
	row    row
	missed int // trials that came too late to strike
}

func (r *runner) run(ctx context.Context, f fault) row {
	r.row = row{Name: f.name, Title: f.title, Recovery: f.recovery, Promise: f.promise, Evidence: f.needs.wire}
	if f.brief && r.tolerance == onABusyMachine {
		r.row.Promise = lateOnly
	}
	if f.noStock != "" && r.side == stockSide {
		r.row.Skipped = f.noStock
		return r.row
	}
	var left atomic.Int64
	left.Store(int64(r.trials))
	var group sync.WaitGroup
	for i := range min(r.lanes, r.trials) {
		group.Go(func() { r.drive(ctx, f, r.seed+uint64(i)*1000, &left) })
	}
	group.Wait()
	return r.row
}

// drive lays a lane and runs trials on it, and lays another one after a trial that
// went wrong: what it left behind must not touch the next.
func (r *runner) drive(ctx context.Context, f fault, seed uint64, left *atomic.Int64) {
	var l *lane
	defer func() {
		if l != nil {
			l.bed.Remove()
		}
	}()
	for ; left.Add(-1) >= 0 && ctx.Err() == nil; seed++ {
		if l == nil {
			var err error
			if l, err = r.lay(ctx, f, seed); err != nil {
				r.failed(nil, fmt.Errorf("cannot set up %s: %w", f.name, err))
				return // it would fail again
			}
		}
		limited, cancel := context.WithTimeout(ctx, (f.patience+time.Minute)*r.tolerance.times)
		t, err := f.trial(limited, l)
		cancel()
		if errors.Is(err, errMissed) && r.another(err) {
			l.bed.Remove()
			l = nil
			left.Add(1)
			continue
		}
		if err != nil {
			r.failed(l, err)
			l = nil
			continue
		}
		if !r.note(l, t) {
			l = nil
		}
	}
}

// another says whether a trial that struck nothing may be tried again; now and then
// a machine is slow, always is a defect of the trial.
func (r *runner) another(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missed++
	r.say("  %s: %v; once more", r.row.Name, err)
	return r.missed <= 3+r.trials/4
}

func (r *runner) lay(ctx context.Context, f fault, seed uint64) (*lane, error) {
	limited, cancel := context.WithTimeout(ctx, time.Minute*r.tolerance.times)
	defer cancel()
	l, err := newLane(limited, r.side, f.name, f.needs, seed, r.tolerance)
	if err != nil {
		return nil, err
	}
	if err := f.setup(limited, l); err != nil {
		l.bed.Close()
		return nil, fmt.Errorf("%w\n%s", err, l.bed.Tails(15))
	}
	return l, nil
}

// note adds a trial to the row and says whether the lane can go on.
func (r *runner) note(l *lane, t *trial) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.row.Trials++
	r.row.verdict.add(t.verdict)
	if t.recovery >= 0 {
		r.row.Seconds = append(r.row.Seconds, t.recovery.Seconds())
	}
	if t.note != "" {
		r.row.Notes = append(r.row.Notes, t.note)
	}
	if v := t.verdict; v.CelerysLost+v.CelerysDoubled > 0 {
		r.say("  %s trial %d: Celery's own client lost %d, doubled %d", r.row.Name, r.row.Trials, v.CelerysLost, v.CelerysDoubled)
	}
	good := r.row.broken(t.verdict) == 0 && t.note == ""
	if good {
		return true
	}
	r.say("  %s trial %d: lost %d, doubled %d %s %v", r.row.Name, r.row.Trials, t.verdict.Lost, t.verdict.Doubled, t.note, t.verdict.bad[:min(len(t.verdict.bad), 3)])
	r.shelve(l)
	return false
}

func (r *runner) failed(l *lane, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, context.Canceled) {
		if l != nil {
			l.bed.Remove()
		}
		return
	}
	r.row.Errors = append(r.row.Errors, err.Error())
	r.say("  %s: %v", r.row.Name, err)
	if l != nil {
		r.say("%s", l.bed.Tails(8))
		r.shelve(l)
	}
}

// shelve closes a lane, and keeps what it wrote if that was asked for.
func (r *runner) shelve(l *lane) {
	if !r.keep {
		l.bed.Remove()
		return
	}
	l.bed.Close()
	r.row.Kept = append(r.row.Kept, l.bed.Dir)
}
