package election_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"crisper/beat/lease/election"

	"github.com/google/go-cmp/cmp"
)

// world plays several candidates against one record. Each has a clock of its own:
// hours off, and running up to 5 % too fast or too slow.
type world struct {
	rng    *rand.Rand
	now    time.Duration // true time
	agenda []appointment
	seq    int
	record election.Record
	writes int
	seats  []*candidate
	most   uint64 // token of any term
	calm   bool   // no more faults
	trace  []string
	wrong  error
	terms  int
}

type appointment struct {
	at  time.Duration
	seq int
	do  func()
}

// candidate is one process in its seat. A killed one is replaced by another life.
type candidate struct {
	w       *world
	name    string
	machine *election.Machine
	offset  time.Duration
	rate    float64
	alive   bool
	killed  bool          // then its successor is on the way
	stalled time.Duration // true time until which nothing of it runs
	call    int           // number of the one under way
	leading bool          // between BeginTerm and EndTerm
	until   time.Time     // deadline of the term, by its own clock
	wake    int
}

func (w *world) later(d time.Duration, do func()) {
	w.seq++
	w.agenda = append(w.agenda, appointment{w.now + d, w.seq, do})
}

func (w *world) next() appointment {
	first := 0
	for i, a := range w.agenda {
		if b := w.agenda[first]; a.at < b.at || a.at == b.at && a.seq < b.seq {
			first = i
		}
	}
	a := w.agenda[first]
	w.agenda = append(w.agenda[:first], w.agenda[first+1:]...)
	return a
}

func (w *world) run(until time.Duration) {
	for w.wrong == nil && len(w.agenda) > 0 {
		a := w.next()
		if a.at > until {
			w.agenda = append(w.agenda, a)
			break
		}
		w.now = a.at
		a.do()
	}
	w.now = until
}

func (w *world) say(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%-12v ", w.now)+fmt.Sprintf(format, args...))
}

func (w *world) chance(p float64) bool { return !w.calm && w.rng.Float64() < p }

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

func (w *world) sit(seat int) {
	life := 0
	if w.seats[seat] != nil {
		life = int(w.seq)
	}
	name := fmt.Sprintf("host%d_%d", seat, life)
	cfg := defaults(name)
	cfg.Jitter = w.rng.Float64
	c := &candidate{w: w, name: name, machine: election.New(cfg), alive: true,
		offset: w.upTo(4 * time.Hour), rate: 0.95 + w.rng.Float64()/10}
	w.seats[seat] = c
	c.step(election.Started{})
}

func (c *candidate) clock() time.Time {
	return epoch.Add(c.offset + time.Duration(float64(c.w.now)*c.rate))
}

func (c *candidate) real(d time.Duration) time.Duration {
	return time.Duration(float64(d) / c.rate)
}

// step happens when the process runs: a stalled one finds everything at once when it
// wakes.
func (c *candidate) step(e election.Event) {
	if !c.alive {
		return
	}
	if c.stalled > c.w.now {
		c.w.later(c.stalled-c.w.now, func() { c.step(e) })
		return
	}
	before := c.machine.State()
	actions := c.machine.Step(c.clock(), e)
	c.w.say("%s: %T%s, %s -> %s", c.name, e, detail(e), before, c.machine.State())
	c.w.moved(before, c.machine.State())
	for _, a := range actions {
		c.act(a)
	}
	c.arm()
}

func detail(e election.Event) string {
	switch e := e.(type) {
	case election.Answered:
		return fmt.Sprintf(" %s/%d/%s", e.Record.Holder, e.Record.Token, e.Record.Version)
	case election.Wrote:
		return fmt.Sprintf(" %s/%d/%s", e.Record.Holder, e.Record.Token, e.Record.Version)
	}
	return ""
}

func (c *candidate) arm() {
	c.wake++
	mine := c.wake
	if at := c.machine.NextWake(); !at.IsZero() {
		c.w.later(c.real(max(0, at.Sub(c.clock())))+2, func() { // 2 ns for the rounding
			if mine == c.wake {
				c.step(election.Woke{})
			}
		})
	}
}

func (c *candidate) act(a election.Action) {
	switch a := a.(type) {
	case election.Call:
		c.send(a)
	case election.CancelCall:
		c.answer(c.call, 0, election.Failed{Err: errors.New("cancelled")})
	case election.BeginTerm:
		c.leading, c.until = true, a.Deadline
		c.w.terms++
		c.w.say("%s: BEGIN %d", c.name, a.Token)
		if a.Token <= c.w.most {
			c.w.fail("token %d after %d", a.Token, c.w.most)
		}
		c.w.most = a.Token
		c.w.exclusive()
		if c.w.chance(0.1) {
			c.w.later(c.w.upTo(10*time.Second), func() { c.finishWork(a.Token) })
		}
	case election.ExtendTerm:
		c.until = a.Deadline
		c.w.exclusive()
	case election.EndTerm:
		c.leading = false
		c.w.say("%s: END %s", c.name, a.Reason)
		if a.Reason != election.LeadFinished {
			c.w.later(c.w.upTo(3*time.Second), func() { c.step(election.LeadReturned{}) })
		}
	case election.Finish:
		c.alive = false
	}
}

// finishWork ends the work of a term that still goes on by itself.
func (c *candidate) finishWork(token uint64) {
	if c.alive && c.leading && c.w.most == token {
		c.step(election.LeadReturned{})
	}
}

// send carries a call to the record and its answer back, late, or not at all. A write
// may arrive long after its sender has given it up.
func (c *candidate) send(call election.Call) {
	c.call++
	number, w := c.call, c.w
	c.answer(number, c.real(call.Timeout), election.Failed{Err: errors.New("timeout")})
	out, back := w.upTo(50*time.Millisecond), w.upTo(50*time.Millisecond)
	if w.chance(0.1) {
		out += w.upTo(12 * time.Second)
	}
	if w.chance(0.1) {
		back += w.upTo(12 * time.Second)
	}
	if w.chance(0.1) {
		return
	}
	w.later(out, func() {
		answer := w.apply(call)
		c.answer(number, back, answer)
	})
}

func (c *candidate) answer(number int, after time.Duration, e election.Event) {
	c.w.later(after, func() { c.deliver(number, e) })
}

func (c *candidate) deliver(number int, e election.Event) {
	if c.stalled > c.w.now { // it lies ready until the process runs again
		c.w.later(c.stalled-c.w.now, func() { c.deliver(number, e) })
		return
	}
	if number == c.call {
		c.call++
		c.step(e)
	}
}

func (w *world) apply(call election.Call) election.Event {
	if call.Purpose == election.Look {
		return election.Answered{Record: w.record}
	}
	if w.record.Version != call.Prev.Version {
		return election.Conflicted{}
	}
	w.writes++
	w.record = call.Next
	w.record.Version = fmt.Sprint("w", w.writes)
	w.say("record: %s %s/%d/%s", call.Purpose, w.record.Holder, w.record.Token, w.record.Version)
	return election.Wrote{Record: w.record}
}

// exclusive holds at every moment at which a term begins or is extended, and so
// always: nothing else makes a term valid.
func (w *world) exclusive() {
	var valid []string
	for _, c := range w.seats {
		if c != nil && c.alive && c.leading && c.clock().Before(c.until) {
			valid = append(valid, c.name)
		}
	}
	if len(valid) > 1 {
		w.fail("%v lead at once", valid)
	}
}

func (w *world) fail(format string, args ...any) {
	if w.wrong == nil {
		w.wrong = fmt.Errorf(format, args...)
	}
}

var seen = map[[2]election.State]bool{}

func (w *world) moved(from, to election.State) {
	if from != to {
		seen[[2]election.State{from, to}] = true
	}
}

// disturb kills, stops, stalls and starts.
func (w *world) disturb() {
	if w.calm {
		return
	}
	seat := w.rng.IntN(len(w.seats))
	c := w.seats[seat]
	w.later(w.upTo(10*time.Second), w.disturb)
	if !c.alive {
		return // its successor is on the way
	}
	switch w.rng.IntN(4) {
	case 0:
		w.say("%s: KILLED", c.name)
		c.alive, c.killed = false, true
		w.later(w.upTo(3*time.Second), func() { w.sit(seat) })
	case 1:
		c.step(election.StopReceived{})
		w.later(10*time.Second+w.upTo(3*time.Second), func() {
			if w.seats[seat] == c && !c.killed {
				c.alive = false
				w.sit(seat)
			}
		})
	default:
		c.stalled = w.now + w.upTo(20*time.Second)
		w.say("%s: STALLED until %v", c.name, c.stalled)
	}
}

func TestNoTwoCandidatesEverLeadAtOnceWhateverHappens(t *testing.T) {
	const seeds uint64 = 400
	terms := 0
	for seed := range seeds {
		w := &world{rng: rand.New(rand.NewPCG(seed, 1)), seats: make([]*candidate, 3)}
		for seat := range w.seats {
			w.sit(seat)
		}
		w.later(w.upTo(10*time.Second), w.disturb)
		w.run(2 * time.Minute)
		w.calm = true
		w.run(3 * time.Minute) // the last stalls and late answers are over, and somebody leads
		leaders := 0
		for _, c := range w.seats {
			if c.alive && c.leading && c.clock().Before(c.until) {
				leaders++
			}
		}
		if w.wrong == nil && leaders != 1 {
			w.fail("%d lead when all is calm", leaders)
		}
		if w.wrong != nil {
			t.Fatalf("seed %d: %v\n%s", seed, w.wrong, strings.Join(w.trace[max(0, len(w.trace)-80):], "\n"))
		}
		terms += w.terms
	}
	compareWithDiagram(t)
	t.Logf("%d terms in %d runs of 3 minutes", terms, seeds)
}

// compareWithDiagram: what is drawn in doc.go happens, and nothing else does.
func compareWithDiagram(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[[2]string]bool{}
	arrow := regexp.MustCompile(`^//\t([A-Z]\w*|) *── .*► (\w+)$`)
	from := ""
	for line := range strings.SplitSeq(string(source), "\n") {
		if m := arrow.FindStringSubmatch(line); m != nil {
			if m[1] != "" {
				from = m[1]
			}
			drawn[[2]string{strings.ToLower(from), strings.ToLower(m[2])}] = true
		}
	}
	happened := map[[2]string]bool{}
	for move := range seen {
		happened[[2]string{move[0].String(), move[1].String()}] = true
	}
	if d := cmp.Diff(drawn, happened); d != "" {
		t.Errorf("the diagram and what happens differ (-drawn +happened):\n%s", d)
	}
}
