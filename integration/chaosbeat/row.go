package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// row is what the trials of one fault gave.
type row struct {
	Name     string `json:"name"`
	Title    string `json:"title"`
	Recovery string `json:"take_over_is"`
	// Limit is the promised bound of the take-over in seconds; 0: none.
	Limit float64 `json:"limit,omitempty"`
	// Late counts trials that were later than that, by no more than the machine stood still
	// meanwhile (stalls.go); Stalled is how long that was at most, in seconds.
	Late    int     `json:"late,omitempty"`
	Stalled float64 `json:"stalled,omitempty"`
	Trials  int     `json:"trials"`
	verdict
	Seconds []float64 `json:"take_over_seconds"`
	// Notes are things promised that did not happen; Kept is the directory of a row
	// that was not clean; Errors are trials that could not be carried out.
	Notes   []string `json:"notes,omitempty"`
	Kept    []string `json:"kept,omitempty"`
	Errors  []string `json:"errors,omitempty"`
	Skipped string   `json:"skipped,omitempty"`
	// MayDouble: the broker can give no more (see the page). Named: only as many as
	// leaders have named in their logs as in doubt, which are Doubt.
	MayDouble bool `json:"may_double,omitempty"`
	Named     bool `json:"named,omitempty"`
	Doubt     int  `json:"in_doubt,omitempty"`
}

// clean: every promise was kept.
func (r row) clean() bool {
	doubled := r.Doubled
	switch {
	case r.MayDouble && r.Named:
		doubled = max(0, doubled-r.Doubt)
	case r.MayDouble:
		doubled = 0
	}
	return r.Missed+doubled+r.Stray+len(r.Notes)+len(r.Errors) == 0
}

// empty: the run was interrupted before there was anything to tell.
func (r row) empty() bool { return r.Trials+len(r.Errors)+len(r.Notes) == 0 && r.Skipped == "" }

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
	r := row{Name: f.name, Title: f.title, Recovery: f.recovery, Limit: f.limit.Seconds(), MayDouble: f.mayDouble && g.broker == onRabbitMQ, Named: f.named}
	if r.Skipped = f.skipped(g); r.Skipped != "" {
		return r
	}
	if f.ownPlane {
		of, err := g.apart(ctx)
		if err != nil {
			r.failed(say, fmt.Errorf("cannot set up %s: %w", f.name, err))
			return r
		}
		defer of.plane.Remove()
		g = of
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
		if err := r.readDoubts(s.bed.Dir); err != nil {
			r.failed(say, err)
		}
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
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, v, err := f.trial(limited, s)
	if err != nil {
		if ctx.Err() == nil {
			r.failed(say, err)
			say("%s", s.bed.Tails(4))
		}
		return false
	}
	r.Trials++
	r.Seconds = append(r.Seconds, t.took.Seconds())
	f.inTime(t, r, say)
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

// inTime holds the take-over to its bound. What a machine that is busy with other things
// took from all processes alike is added to the bound, and shown.
func (f fault) inTime(t *trial, r *row, say func(string, ...any)) {
	if f.limit == 0 || t.took <= f.limit {
		return
	}
	stalled := t.set.ground.stalls.between(t.fault, t.fault.Add(t.took))
	said := fmt.Sprintf("the take-over took %.2f s, the bound is %s, and the machine stood still for %.2f s of it",
		t.took.Seconds(), f.limit, stalled.Seconds())
	if t.took > f.limit+stalled {
		t.note = said
		return
	}
	r.Late++
	r.Stalled = max(r.Stalled, stalled.Seconds())
	say("  %s trial %d: %s", f.name, r.Trials, said)
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
	t.origin = s.book.newest().origin
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
	limited, cancel := context.WithTimeout(ctx, time.Minute)
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

// inDoubt is what a leader logs of ticks that it sends though the former one may have.
var inDoubt = regexp.MustCompile(`"ticks of the former leader are in doubt.*"ticks":(\d+)`)

// readDoubts adds what the replicas of a set have named as in doubt.
func (r *row) readDoubts(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "beat-*.log"))
	if err == nil && len(logs) == 0 {
		err = fmt.Errorf("none in %s", dir)
	}
	for _, name := range logs {
		var text []byte
		if text, err = os.ReadFile(name); err != nil {
			break
		}
		for _, found := range inDoubt.FindAllSubmatch(text, -1) {
			n, _ := strconv.Atoi(string(found[1])) // digits
			r.Doubt += n
		}
	}
	if err != nil {
		return fmt.Errorf("cannot read the logs of the replicas: %w", err)
	}
	return nil
}

func (r *row) failed(say func(string, ...any), err error) {
	r.Errors = append(r.Errors, err.Error())
	say("  %s: %v", r.Name, err)
}
