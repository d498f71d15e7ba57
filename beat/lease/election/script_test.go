package election_test

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"crisper/beat/lease/election"
	"crisper/integration/scripts"
)

func TestACandidateDoesWhatTheScriptsTell(t *testing.T) { scripts.Play(t, replay) }

func replay(t *testing.T, text string) string {
	got, err := play(text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// player plays one script: commands, "----", what came of them, an empty line.
type player struct {
	cfg     election.Config
	machine *election.Machine
	now     time.Time
	call    election.Call
	writes  int
	out     bytes.Buffer
}

func defaults(holder string) election.Config {
	return election.Config{
		Holder: holder, LeaseDuration: 6 * time.Second, RenewDeadline: 4 * time.Second,
		RetryPeriod: 500 * time.Millisecond, Jitter: func() float64 { return 0 },
	}
}

func play(text string) (string, error) {
	p := &player{cfg: defaults("a"), now: epoch}
	p.machine = election.New(p.cfg)
	var all strings.Builder
	skipping := false
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case line == "----":
			skipping = true
			if p.out.Len() == 0 {
				p.out.WriteString("nothing\n")
			}
			fmt.Fprintf(&all, "----\n%s", p.out.String())
			p.out.Reset()
		case line == "":
			skipping = false
			all.WriteString("\n")
		case skipping:
		default:
			all.WriteString(line + "\n")
			if err := p.command(line); err != nil {
				return "", fmt.Errorf("%q: %w", line, err)
			}
		}
	}
	return all.String(), nil
}

func (p *player) command(line string) error {
	words := strings.Fields(line)
	if words[0] == "#" {
		return nil
	}
	if after, ok := strings.CutPrefix(words[0], "+"); ok {
		d, err := time.ParseDuration(after)
		if err != nil {
			return err
		}
		p.pass(d)
		words = words[1:]
	}
	if len(words) == 0 {
		return nil
	}
	return p.happen(words[0], words[1:])
}

// pass lets time go by, and wakes the machine when it asked for it.
func (p *player) pass(d time.Duration) {
	end := p.now.Add(d)
	for {
		wake := p.machine.NextWake()
		if wake.IsZero() || wake.After(end) {
			break
		}
		if wake.After(p.now) {
			p.now = wake
		}
		p.step(election.Woke{})
	}
	p.now = end
}

func (p *player) happen(verb string, args []string) error {
	rest := strings.Join(args, " ")
	switch verb {
	case "config":
		for _, arg := range args {
			key, value, _ := strings.Cut(arg, "=")
			d, err := time.ParseDuration(value)
			if err != nil || key != "give_up" {
				return errors.New("only give_up=DURATION can be set")
			}
			p.cfg.GiveUpAfter = d
			p.machine = election.New(p.cfg)
		}
	case "asleep": // the process did not run: time passes, nothing is stepped
		d, err := time.ParseDuration(rest)
		p.now = p.now.Add(d)
		return err
	case "start":
		p.step(election.Started{})
	case "wakes":
		p.step(election.Woke{})
	case "absent":
		p.step(election.Answered{})
	case "answered":
		r, err := record(args)
		if err != nil {
			return err
		}
		p.step(election.Answered{Record: r})
	case "wrote":
		p.writes++
		r := p.call.Next
		r.Version = "w" + strconv.Itoa(p.writes)
		p.step(election.Wrote{Record: r})
	case "conflicted":
		p.step(election.Conflicted{})
	case "failed", "refused":
		p.step(election.Failed{Err: errors.New(rest), Refused: verb == "refused"})
	case "returned":
		p.step(election.LeadReturned{})
	case "stop":
		p.step(election.StopReceived{})
	case "raise":
		n, err := strconv.ParseUint(rest, 10, 64)
		p.machine.Raise(n)
		return err
	default:
		return errors.New("unknown command")
	}
	return nil
}

func record(args []string) (election.Record, error) {
	r := election.Record{Duration: 6 * time.Second}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		var err error
		switch key {
		case "holder":
			r.Holder = value
		case "token":
			r.Token, err = strconv.ParseUint(value, 10, 64)
		case "version":
			r.Version = value
		case "duration":
			r.Duration, err = time.ParseDuration(value)
		case "dead":
			r.Dead = true
		default:
			err = fmt.Errorf("unknown word %q", arg)
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func (p *player) step(e election.Event) {
	before := p.machine.State()
	actions := p.machine.Step(p.now, e)
	if after := p.machine.State(); after != before {
		p.say("%s -> %s", before, after)
	}
	for _, a := range actions {
		p.tell(a)
	}
}

func (p *player) say(format string, args ...any) {
	fmt.Fprintf(&p.out, "%-7s %s\n", p.now.Sub(epoch), fmt.Sprintf(format, args...))
}

func (p *player) at(t time.Time) time.Duration { return t.Sub(epoch) }

func (p *player) tell(a election.Action) {
	switch a := a.(type) {
	case election.Call:
		p.call = a
		switch a.Purpose {
		case election.Look:
			p.say("look, for %v at most", a.Timeout)
		case election.Claim:
			p.say("claim token %d over %q", a.Next.Token, a.Prev.Version)
		default:
			p.say("%s token %d over %q, for %v at most", a.Purpose, a.Next.Token, a.Prev.Version, a.Timeout)
		}
	case election.CancelCall:
		p.say("cancel the look")
	case election.BeginTerm:
		p.say("begin term %d, until %v, others from %v", a.Token, p.at(a.Deadline), p.at(a.Expiry))
	case election.ExtendTerm:
		p.say("extend the term until %v, others from %v", p.at(a.Deadline), p.at(a.Expiry))
	case election.EndTerm:
		p.say("end the term: %s", a.Reason)
	case election.Report:
		p.say("report: cannot %s since %v: %v", a.Purpose, a.Lasting, a.Err)
	case election.Recovered:
		p.say("report: well again after %v", a.Lasting)
	case election.Finish:
		p.say("finish: %v", a.Err)
	}
}
