package script

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"crisper/supervisor/pool"
)

// rule parts the commands of a block from what the pool did.
const rule = "----"

// Run replays the script of r and writes it to w with what the pool does now. An
// error is one of reading, writing or grammar.
func Run(r io.Reader, w io.Writer) error {
	out := bufio.NewWriter(w)
	player := newPlayer()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	var (
		number int
		inside bool // between the rule and the blank line
		open   bool // commands without their rule yet
	)
	finish := func() {
		if open {
			fmt.Fprintf(out, "%s\n%s", rule, player.report())
		}
		open = false
	}
	for lines.Scan() {
		number++
		line := strings.TrimRight(lines.Text(), " \t")
		switch {
		case line == "":
			finish()
			inside = false
		case inside:
			continue
		case line == rule:
			finish()
			inside = true
			continue
		case !strings.HasPrefix(line, "#"):
			open = true
			if err := player.play(line); err != nil {
				return fmt.Errorf("cannot play line %d (%s): %w", number, line, err)
			}
		}
		fmt.Fprintln(out, line)
	}
	finish()
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read script: %w", err)
	}
	return out.Flush()
}

// player is a pool with a clock of its own.
type player struct {
	pool  *pool.Pool
	start time.Time
	now   time.Time
	odd   int // impossible events told of so far
	task  pool.TaskID
	lines []string
}

func newPlayer() *player {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	return &player{start: start, now: start}
}

// report hands out what happened since the last report.
func (p *player) report() string {
	if len(p.lines) == 0 {
		return "nothing\n"
	}
	text := strings.Join(p.lines, "\n") + "\n"
	p.lines = p.lines[:0]
	return text
}

func (p *player) say(format string, args ...any) {
	line := fmt.Sprintf("%-7s %s", p.now.Sub(p.start), fmt.Sprintf(format, args...))
	p.lines = append(p.lines, strings.TrimRight(line, " "))
}

// play plays one command.
func (p *player) play(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return fmt.Errorf("no command")
	}
	if after, ok := strings.CutPrefix(words[0], "+"); ok {
		late := strings.HasSuffix(after, "!")
		d, err := time.ParseDuration(strings.TrimSuffix(after, "!"))
		if err != nil || d < 0 {
			return fmt.Errorf("bad time %q", words[0])
		}
		if err := p.pass(d, late); err != nil {
			return err
		}
		words = words[1:]
	}
	if len(words) == 0 {
		return fmt.Errorf("no command")
	}
	if words[0] == "config" {
		return p.configure(strings.Join(words, " "))
	}
	if p.pool == nil {
		return fmt.Errorf("the first command must be config")
	}
	return p.command(words[0], words[1:])
}

// pass lets time pass, with the pool's timer unless that is late.
func (p *player) pass(d time.Duration, late bool) error {
	until := p.now.Add(d)
	for spins := 0; p.pool != nil && !late; spins++ {
		wake := p.pool.NextWake()
		if wake.IsZero() || wake.After(until) {
			break
		}
		if spins > 10000 {
			return fmt.Errorf("the pool wants to be woken at %s for ever", wake.Sub(p.start))
		}
		if wake.After(p.now) {
			p.now = wake
		}
		p.tell(p.pool.Tick(p.now, nil))
	}
	p.now = until
	return nil
}

// step feeds one event.
func (p *player) step(ev pool.Event) {
	p.tell(p.pool.Step(p.now, ev, nil))
	if n, last := p.pool.Impossible(); n != p.odd {
		p.odd = n
		p.say("impossible: %s", last)
	}
}

func (p *player) tell(acts []pool.Action) {
	for _, a := range acts {
		p.say("%s", Action(a))
	}
}
