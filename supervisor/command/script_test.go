package command

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"crisper/integration/scripts"
)

func TestTheMachineDoesWhatTheScriptsTell(t *testing.T) { scripts.Play(t, replay) }

// player replays a script: blocks of commands, a rule, and what the machine did.
type player struct {
	t       *testing.T
	machine *Machine
	start   time.Time
	now     time.Time
	said    []string
}

func replay(t *testing.T, text string) string {
	start := time.Unix(0, 0)
	p := &player{t: t, start: start, now: start}
	var out strings.Builder
	for i, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		commands, _, _ := strings.Cut(block+"\n", "----\n")
		for line := range strings.Lines(commands) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				p.play(line)
			}
		}
		if i > 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "%s----\n%s", commands, p.report())
	}
	return out.String()
}

func (p *player) report() string {
	if len(p.said) == 0 {
		return "nothing\n"
	}
	text := strings.Join(p.said, "\n") + "\n"
	p.said = nil
	return text
}

func (p *player) play(line string) {
	words := strings.Fields(line)
	if after, ok := strings.CutPrefix(words[0], "+"); ok {
		d, err := time.ParseDuration(after)
		if err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		p.pass(d)
		words = words[1:]
	}
	if words[0] == "config" {
		p.configure(words[1:])
		return
	}
	if words[0] == "wait" {
		return
	}
	p.say(p.machine.Step(p.now, p.event(words), nil))
}

// pass lets time go by and wakes the machine when it wants to be woken.
func (p *player) pass(d time.Duration) {
	until := p.now.Add(d)
	for p.machine != nil {
		at := p.machine.NextWake()
		if at.IsZero() || at.After(until) {
			break
		}
		if at.After(p.now) {
			p.now = at
		}
		p.say(p.machine.Tick(p.now, nil))
		if next := p.machine.NextWake(); !next.IsZero() && !next.After(p.now) {
			p.t.Fatalf("Tick at %s does not get past its deadline", p.now.Sub(p.start))
		}
	}
	p.now = until
}

func (p *player) configure(words []string) {
	cfg := Defaults("app")
	cfg.SweepEvery = 500 * time.Millisecond
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "grace":
			cfg.Grace = p.duration(value)
		case "margin":
			cfg.Margin = p.duration(value)
		case "delay":
			cfg.PreStopDelay = p.duration(value)
		case "stop":
			cfg.StopSignal = p.signal(value)
		case "limit":
			cfg.MemoryLimit = p.megabytes(value)
		case "action":
			cfg.MemoryAction = Policy(value)
		default:
			p.t.Fatalf("unknown setting %q", word)
		}
	}
	machine, err := New(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	p.machine = machine
}

func (p *player) event(words []string) Event {
	rest := strings.Join(words[1:], " ")
	switch words[0] {
	case "opened":
		return Opened{}
	case "started":
		return Started{PID: p.number(words[1])}
	case "start_failed":
		return StartFailed{Code: p.number(words[1]), Reason: strings.Join(words[2:], " ")}
	case "drain":
		return DrainRequested{}
	case "deaf":
		return Deaf{}
	case "exited":
		if code, err := strconv.Atoi(words[1]); err == nil {
			return Exited{Code: code, Text: "exit status " + words[1]}
		}
		return Exited{Code: -1, Signal: p.signal(words[1]), Text: "SIG" + rest}
	case "swept":
		return Swept{Alive: p.number(words[1]), Names: strings.Join(words[2:], " ")}
	case "measured":
		return p.measured(words[1:])
	}
	return Signalled{p.signal(words[0])}
}

// measured reads "pod=900MB/1000MB 10=100MB 11=300MB".
func (p *player) measured(words []string) Event {
	var ev Measured
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		if key == "pod" {
			current, limit, _ := strings.Cut(value, "/")
			ev.Current, ev.Limit = p.megabytes(current), p.megabytes(limit)
			continue
		}
		ev.Tree = append(ev.Tree, Process{PID: p.number(key), Name: "python", Bytes: p.megabytes(value)})
	}
	return ev
}

func (p *player) say(acts []Action) {
	for _, act := range acts {
		p.said = append(p.said, fmt.Sprintf("%-7s %s", p.now.Sub(p.start), render(act)))
	}
}

func render(act Action) string {
	switch a := act.(type) {
	case Start:
		return "start"
	case Forward:
		return "send the command " + unix.SignalName(a.Signal)
	case Sweep:
		if a.Signal == 0 {
			return "count what lives"
		}
		return "send all that lives " + unix.SignalName(a.Signal)
	case End:
		return fmt.Sprintf("send process %d %s", a.PID, unix.SignalName(a.Signal))
	case Transition:
		return strings.TrimSpace(fmt.Sprintf("%s -> %s (%s) %s", a.From, a.To, a.Reason, a.Detail))
	case Warn:
		return strings.TrimSpace("warn: " + a.Message + ": " + a.Detail)
	case Leave:
		return strings.TrimSpace(fmt.Sprintf("leave with %d %s", a.Code, a.Why))
	}
	return fmt.Sprintf("%#v", act)
}

func (p *player) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *player) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *player) megabytes(text string) int64 {
	return int64(p.number(strings.TrimSuffix(text, "MB"))) << 20
}

func (p *player) signal(text string) syscall.Signal {
	sig := unix.SignalNum("SIG" + text)
	if sig == 0 {
		p.t.Fatalf("no such event or signal: %q", text)
	}
	return sig
}
