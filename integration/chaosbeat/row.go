package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// row is what the trials of one fault gave.
type row struct {
	Name     string `json:"name"`
	Title    string `json:"title"`
	Recovery string `json:"take_over_is"`
	// Limit is the promised bound of the take-over in seconds; 0: none.
	Limit  float64 `json:"limit,omitempty"`
	Trials int     `json:"trials"`
	verdict
	Seconds []float64 `json:"take_over_seconds"`
	// Notes are things promised that did not happen; Kept is the directory of a row
	// that was not clean; Errors are trials that could not be carried out.
	Notes   []string `json:"notes,omitempty"`
	Kept    []string `json:"kept,omitempty"`
	Errors  []string `json:"errors,omitempty"`
	Skipped string   `json:"skipped,omitempty"`
	// MayDouble: the broker can give no more (see the page).
	MayDouble bool `json:"may_double,omitempty"`
}

// clean: every promise was kept.
func (r row) clean() bool {
	doubled := r.Doubled
	if r.MayDouble {
		doubled = 0
	}
	return r.Missed+doubled+r.Stray+len(r.Notes)+len(r.Errors) == 0
}

// trial is one fault.
type trial struct {
	set    *set
	leader *replica // when it began
	origin string   // of the leader's messages
	fault  time.Time
	took   time.Duration
	note   string
}

// patience bounds one trial. Most take seconds; a machine that compiles beside takes longer.
const patience = 2 * time.Minute

// run carries out the trials of a fault, on a new set after one that went wrong.
func (f fault) run(ctx context.Context, g *ground, trials int, say func(string, ...any)) row {
	r := row{Name: f.name, Title: f.title, Recovery: f.recovery, Limit: f.limit.Seconds(), MayDouble: f.mayDouble && g.broker == onRabbitMQ}
	if r.Skipped = f.skipped(g); r.Skipped != "" {
		return r
	}
	for left := trials; left > 0 && ctx.Err() == nil && len(r.Errors) < 3; {
		s, err := f.setUp(ctx, g)
		if err != nil {
			if ctx.Err() == nil {
				r.failed(say, fmt.Errorf("cannot set up %s: %w", f.name, err))
			}
			return r
		}
		var total verdict // of this set
		for good := true; good && left > 0 && ctx.Err() == nil; {
			left--
			good = f.once(ctx, s, &r, &total, say)
		}
		r.add(total)
		if total.Missed+total.Doubled+total.Stray > 0 || len(r.Notes)+len(r.Errors) > 0 {
			s.bed.Close()
			r.Kept = append(r.Kept, s.bed.Dir)
		} else {
			s.bed.Remove()
		}
	}
	return r
}

func (f fault) setUp(ctx context.Context, g *ground) (*set, error) {
	ctx, cancel := context.WithTimeout(ctx, f.setUpFor())
	defer cancel()
	return newSet(ctx, g, f.name, f.skews)
}

// setUpFor bounds the start of a set. A binary with a wrong clock is built first.
func (f fault) setUpFor() time.Duration {
	if len(f.skews) > 0 {
		return 15 * time.Minute
	}
	return 2 * time.Minute
}

// once is one trial; it says whether the set can go on.
func (f fault) once(ctx context.Context, s *set, r *row, total *verdict, say func(string, ...any)) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, v, err := f.trial(ctx, s)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			r.failed(say, err)
			say("%s", s.bed.Tails(4))
		}
		return false
	}
	r.Trials++
	r.Seconds = append(r.Seconds, t.took.Seconds())
	if f.limit > 0 && t.took > f.limit && t.note == "" {
		t.note = fmt.Sprintf("the take-over took %.2f s, the bound is %s", t.took.Seconds(), f.limit)
	}
	if t.note != "" {
		r.Notes = append(r.Notes, t.note)
		say("  %s trial %d: %s", f.name, r.Trials, t.note)
	}
	worse := v.Missed > total.Missed || v.Doubled > total.Doubled || v.Stray > total.Stray
	*total = v
	if worse {
		say("  %s trial %d: missed %d, doubled %d, stray %d: %v", f.name, r.Trials, v.Missed, v.Doubled, v.Stray, v.bad[max(0, len(v.bad)-4):])
	}
	return !worse || r.MayDouble
}

// trial waits for a whole set, does the fault, waits again, and judges everything that
// was due on this set.
func (f fault) trial(ctx context.Context, s *set) (*trial, verdict, error) {
	t := &trial{set: s}
	var err error
	if t.leader, err = s.whole(ctx); err != nil {
		return t, verdict{}, err
	}
	pause(ctx, 0, time.Second)
	if newest, ok := s.book.after(time.Now().Add(-5*time.Second), func(a arrival) bool { return true }); ok {
		t.origin = newest.origin
	}
	if err := f.do(ctx, t); err != nil {
		return t, verdict{}, err
	}
	if _, err := s.whole(ctx); err != nil {
		return t, verdict{}, err
	}
	v, err := s.verdict(ctx)
	return t, v, err
}

// verdict judges what is due by now, once each entry has been seen with a later tick.
func (s *set) verdict(ctx context.Context) (verdict, error) {
	now := time.Now()
	s.grid.grow(now.Add(time.Minute))
	waiting := map[*line]bool{}
	for _, l := range s.grid.lines {
		waiting[l] = l.every <= time.Second
	}
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err := until(limited, "later ticks", func() bool {
		s.book.after(now, func(a arrival) bool {
			if p, ok := s.grid.ticks[a.id]; ok && !p.due().Before(now) {
				delete(waiting, p.line)
			}
			return false
		})
		for _, wanted := range waiting {
			if wanted {
				return false
			}
		}
		return true
	})
	if err != nil && limited.Err() == nil { // impatience is judged: what is not there is missed
		return verdict{}, err
	}
	seen, err := s.book.counts(ctx)
	return judge(s.grid, seen, now), err
}

func (r *row) add(v verdict) {
	r.Ticks += v.Ticks
	r.Missed += v.Missed
	r.Doubled += v.Doubled
	r.Stray += v.Stray
}

func (r *row) failed(say func(string, ...any), err error) {
	r.Errors = append(r.Errors, err.Error())
	say("  %s: %v", r.Name, err)
}
