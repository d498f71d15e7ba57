package planner

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"crisper/beat"
	"crisper/beat/schedule"
	"crisper/integration/scripts"
)

func TestThePlannerDoesWhatTheScriptsTell(t *testing.T) { scripts.Play(t, replay) }

func replay(t *testing.T, text string) string {
	got, err := play(text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// player plays a script: blocks of commands, ----, what came of them, a blank line.
// Times are counted from midnight of the first of June 2026, UTC.
type player struct {
	planner *Planner
	start   time.Time
	now     time.Time
	entries []Entry
	records map[string]beat.Record
	lines   []string
}

func play(text string) (string, error) {
	start := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	p := &player{start: start, now: start, records: map[string]beat.Record{}}
	p.planner, _ = New(Defaults())
	var out []string
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		commands, _, _ := strings.Cut(block+"\n", "----\n")
		p.lines = nil
		for line := range strings.Lines(commands) {
			if err := p.command(strings.Fields(line)); err != nil {
				return "", fmt.Errorf("%q: %w", line, err)
			}
		}
		out = append(out, commands+"----\n"+strings.Join(p.lines, ""))
	}
	return strings.Join(out, "\n"), nil
}

func (p *player) command(words []string) error {
	if len(words) == 0 || words[0] == "#" {
		return nil
	}
	if d, err := time.ParseDuration(words[0]); err == nil { // +5s goes on, -1h is a clock set back
		p.now = p.now.Add(d)
		words = words[1:]
	}
	switch name, rest := words[0], words[1:]; name {
	case "config":
		cfg := Defaults()
		cfg.Batch = number(rest, "batch", cfg.Batch)
		cfg.MaxInterval = duration(rest, "max_interval", cfg.MaxInterval)
		p.planner, _ = New(cfg)
	case "entry":
		return p.entry(rest)
	case "record":
		p.records[rest[0]] = beat.Record{Last: p.now.Add(duration(rest, "last", 0)), Count: int64(number(rest, "count", 0))}
	case "loaded":
		p.step(Loaded{Entries: p.entries, Records: p.records})
		p.entries, p.records = nil, map[string]beat.Record{}
	case "reloaded":
		p.step(Reloaded{Entries: p.entries, Records: p.records})
		p.entries, p.records = nil, map[string]beat.Record{}
	case "woke":
		p.step(Woke{})
	case "published":
		p.step(p.published(rest))
	case "failed":
		p.step(Failed{Retry: duration(rest, "retry", time.Second)})
	case "answered":
		p.step(p.answered(rest))
	case "status":
		for _, s := range p.planner.Status() {
			p.say("%s last=%s count=%d next=%s", s.Entry, p.at(s.Record.Last), s.Record.Count, p.at(s.Next))
		}
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}

func (p *player) entry(words []string) error {
	e := Entry{Name: words[0], Policy: schedule.Policy{
		Window:           duration(words, "window", 0),
		StartingDeadline: duration(words, "deadline", 0),
		Max:              number(words, "max", 0),
	}}
	var err error
	switch words[1] {
	case "every":
		var d time.Duration
		if d, err = time.ParseDuration(words[2]); err == nil {
			e.Schedule, err = schedule.Every(d)
		}
	case "crontab":
		e.Schedule, err = schedule.ParseCrontab(words[2], words[3], words[4], words[5], words[6])
	case "asked":
		e.Schedule = schedule.Asked{Kind: "opaque", Spec: json.RawMessage(words[2])}
	default:
		err = fmt.Errorf("no such schedule")
	}
	p.entries = append(p.entries, e)
	return err
}

// published answers for all ticks of the batch; a word gives the outcome of all.
func (p *player) published(words []string) Published {
	outcome := beat.Published
	if len(words) > 0 && words[0] == "already" {
		outcome = beat.Already
	}
	outcomes := make([]beat.Outcome, len(p.planner.batch))
	for i := range outcomes {
		outcomes[i] = outcome
	}
	return Published{Outcomes: outcomes}
}

func (p *player) answered(words []string) Answered {
	id, _ := strconv.ParseUint(words[0], 10, 64)
	a := Answered{ID: id, Next: duration(words, "next", 0)}
	for _, w := range words[1:] {
		a.Due = a.Due || w == "due"
		a.Failed = a.Failed || w == "failed"
	}
	if d := duration(words, "at", 0); d != 0 {
		a.At = p.start.Add(d)
	}
	return a
}

func (p *player) step(ev Event) {
	for _, act := range p.planner.Step(p.now, ev, nil) {
		switch act := act.(type) {
		case Publish:
			p.say("publish%s", p.ticks(act.Ticks))
		case Ask:
			p.say("ask %d %s last=%s", act.ID, act.Entry, p.at(act.Last))
		case WakeAt:
			p.say("wake at %s", p.at(act.At))
		case Skipped:
			p.say("skipped %s %d: %s", act.Entry, act.N, act.Reason)
		}
	}
}

func (p *player) ticks(ticks []beat.Tick) string {
	var b strings.Builder
	for _, t := range ticks {
		fmt.Fprintf(&b, " %s@%s#%d", t.Entry, p.at(t.Due), t.Count)
	}
	return b.String()
}

func (p *player) say(format string, v ...any) {
	p.lines = append(p.lines, fmt.Sprintf("%-7s ", p.at(p.now))+fmt.Sprintf(format, v...)+"\n")
}

func (p *player) at(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	text := t.Sub(p.start).String()
	for _, tail := range []string{"m0s", "h0m"} { // 1h0m0s is 1h
		if strings.HasSuffix(text, tail) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func option(words []string, key string) string {
	for _, w := range words {
		if value, ok := strings.CutPrefix(w, key+"="); ok {
			return value
		}
	}
	return ""
}

func duration(words []string, key string, otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(option(words, key)); err == nil {
		return d
	}
	return otherwise
}

func number(words []string, key string, otherwise int) int {
	if n, err := strconv.Atoi(option(words, key)); err == nil {
		return n
	}
	return otherwise
}
