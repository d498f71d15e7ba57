package hang

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"crisper/integration/scripts"
)

func TestTheWatchSaysWhatTheScriptsTell(t *testing.T) { scripts.Play(t, replay) }

// player replays a script: commands, a rule, and who was found to hang when.
//
//	limit 60s                        a new watch
//	ready 1 prefork                  worker 1 takes tasks
//	1 free active=2 queues=a,b       its agent says so (free, full or unknown)
//	1 took
//	1 left
//	backlog a=3                      a measurement; `backlog ?`: the broker is away
//
// Before each may stand +10s: so much later; or 10s..60s/5s: again and again, every
// 5 s from 10 s after now until 60 s after now.
type player struct {
	t     *testing.T
	watch *Watch
	start time.Time
	now   time.Time
	said  []string
}

func replay(t *testing.T, text string) string {
	start := time.Unix(1000, 0)
	p := &player{t: t, start: start, now: start}
	var out strings.Builder
	expected := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "----":
			expected = true
			out.WriteString("----\n")
			for _, s := range p.said {
				out.WriteString(s + "\n")
			}
			p.said = nil
		case line == "":
			expected = false
			out.WriteString("\n")
		case expected:
		default:
			out.WriteString(line + "\n")
			if !strings.HasPrefix(line, "#") {
				p.play(strings.Fields(line))
			}
		}
	}
	return out.String()
}

// play carries out a line; parts of it that are separated by a semicolon are done
// at the same times.
func (p *player) play(words []string) {
	first, last, every := time.Duration(0), time.Duration(0), time.Duration(1)
	if from, rest, found := strings.Cut(words[0], ".."); found {
		to, step, _ := strings.Cut(rest, "/")
		first, last, every = p.duration(from), p.duration(to), p.duration(step)
		words = words[1:]
	} else if strings.HasPrefix(words[0], "+") {
		first = p.duration(words[0][1:])
		last, words = first, words[1:]
	}
	begin := p.now
	for at := first; at <= last; at += every {
		p.now = begin.Add(at)
		for part := range strings.SplitSeq(strings.Join(words, " "), "; ") {
			p.command(strings.Fields(part))
		}
	}
}

func (p *player) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *player) command(words []string) {
	switch words[0] {
	case "limit":
		p.watch, p.now = New(p.duration(words[1])), p.start
	case "ready":
		p.watch.Ready(p.now, p.id(words[1]), words[2])
	case "backlog":
		p.backlog(words[1:])
	default:
		p.worker(p.id(words[0]), words[1:])
	}
}

func (p *player) id(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *player) worker(id uint64, words []string) {
	switch words[0] {
	case "took":
		p.watch.Took(p.now, id)
		return
	case "left":
		p.watch.Left(id)
		return
	}
	r := Report{Room: map[string]Room{"free": Free, "full": Full}[words[0]]}
	for _, word := range words[1:] {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "active":
			r.Active = int(p.id(value))
		case "queues":
			r.Queues = strings.Split(value, ",")
		}
	}
	p.watch.Said(p.now, id, r)
}

func (p *player) backlog(words []string) {
	if words[0] == "?" {
		p.watch.Unmeasured()
		return
	}
	ready := map[string]int64{}
	for _, word := range words {
		queue, n, _ := strings.Cut(word, "=")
		ready[queue] = int64(p.id(n))
	}
	for _, h := range p.watch.Measured(p.now, ready, nil) {
		deaf := ""
		if h.Deaf {
			deaf = " and is deaf"
		}
		p.said = append(p.said, fmt.Sprintf("%-7s worker %d hangs%s: %s", p.now.Sub(p.start), h.Child, deaf, h.Detail))
	}
}
