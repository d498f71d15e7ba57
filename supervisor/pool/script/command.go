package script

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"crisper/supervisor/pool"
)

// args are the words after a command's name, with the first error met in them:
// the readers return zero values after it.
type args struct {
	words []string
	err   error
}

func (a *args) fail(format string, v ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, v...)
	}
}

// word takes the next plain word.
func (a *args) word(what string) string {
	if len(a.words) == 0 {
		a.fail("%s is missing", what)
		return ""
	}
	w := a.words[0]
	a.words = a.words[1:]
	return w
}

func (a *args) number(what string) int { return a.parse(what, a.word(what)) }

// mostOfAnything bounds slots and repetitions, since a script may be anybody's.
const mostOfAnything = 10_000

// count is a number of things to make.
func (a *args) count(what string, n int) int {
	if n > mostOfAnything {
		a.fail("%s: %d are too many", what, n)
		return 0
	}
	return n
}

func (a *args) parse(what, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil && a.err == nil {
		a.fail("%s is not a number: %q", what, text)
	}
	return n
}

func (a *args) child() pool.ChildID { return pool.ChildID(a.number("the child")) }

// rest takes all that is left.
func (a *args) rest() string {
	text := strings.Join(a.words, " ")
	a.words = nil
	return text
}

// option takes key=value from wherever it stands.
func (a *args) option(key string) (string, bool) {
	for i, w := range a.words {
		if value, ok := strings.CutPrefix(w, key+"="); ok {
			a.words = append(a.words[:i:i], a.words[i+1:]...)
			return value, true
		}
	}
	return "", false
}

func (a *args) intOption(key string, otherwise int) int {
	if text, ok := a.option(key); ok {
		return a.parse(key, text)
	}
	return otherwise
}

func (a *args) duration(key string, otherwise time.Duration) time.Duration {
	text, ok := a.option(key)
	if !ok {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		a.fail("%s is not a duration: %q", key, text)
	}
	return d
}

func (a *args) float(key string, otherwise float64) float64 {
	text, ok := a.option(key)
	if !ok {
		return otherwise
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		a.fail("%s is not a number: %q", key, text)
	}
	return f
}

func (a *args) sizeOption(key string, otherwise int64) int64 {
	if text, ok := a.option(key); ok {
		return a.size(text)
	}
	return otherwise
}

func (a *args) size(text string) int64 {
	digits, unit := text, int64(1)
	for i, suffix := range []string{"KB", "MB", "GB"} {
		if d, ok := strings.CutSuffix(text, suffix); ok {
			digits, unit = d, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		a.fail("not a size: %q", text)
	}
	return n * unit
}

// done complains of what nobody took.
func (a *args) done() error {
	if a.err == nil && len(a.words) > 0 {
		a.fail("too much: %q", a.rest())
	}
	return a.err
}

// Config reads a config command: the configuration, and its source of jitter.
func Config(line string) (pool.Config, func() float64, error) {
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "config" {
		return pool.Config{}, nil, fmt.Errorf("not a config command: %q", line)
	}
	a := &args{words: words[1:]}
	c := config(a)
	draw := draws(a)
	return c, draw, a.done()
}

func config(a *args) pool.Config {
	c := pool.Defaults(a.count("slots", a.intOption("slots", 1)))
	c.Surge = a.intOption("surge", c.Surge)
	c.MaxTasks = a.intOption("max_tasks", c.MaxTasks)
	c.MaxMemory = a.sizeOption("max_memory", c.MaxMemory)
	c.MemoryKill = a.sizeOption("memory_kill", c.MemoryKill)
	c.MaxAge = a.duration("max_age", c.MaxAge)
	c.Jitter = a.float("jitter", 0)
	c.StartTimeout = a.duration("start_timeout", c.StartTimeout)
	c.StopTimeout = a.duration("stop_timeout", c.StopTimeout)
	c.KillGrace = a.duration("kill_grace", c.KillGrace)
	c.HardLimitGrace = a.duration("hard_limit_grace", c.HardLimitGrace)
	c.CutoffGrace = a.duration("cutoff_grace", c.CutoffGrace)
	c.BackoffMin = a.duration("backoff_min", c.BackoffMin)
	c.BackoffMax = a.duration("backoff_max", c.BackoffMax)
	c.GiveUpAfter = a.duration("give_up_after", c.GiveUpAfter)
	c.GuardSoft = a.float("guard_soft", c.GuardSoft)
	c.GuardHard = a.float("guard_hard", c.GuardHard)
	c.GuardPause = a.duration("guard_pause", c.GuardPause)
	return c
}

// draws reads what the source of jitter returns in turn, over and over.
func draws(a *args) func() float64 {
	text, ok := a.option("draws")
	if !ok {
		text = "0"
	}
	var turn []float64
	for part := range strings.SplitSeq(text, ",") {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil || f < 0 || f >= 1 {
			a.fail("not a draw: %q", part)
		}
		turn = append(turn, f)
	}
	next := -1
	return func() float64 {
		next = (next + 1) % len(turn)
		return turn[next]
	}
}

// configure begins a new pool.
func (p *player) configure(line string) error {
	c, draw, err := Config(line)
	if err != nil {
		return err
	}
	fresh, err := pool.New(c, draw)
	if err != nil {
		return err
	}
	p.pool, p.now, p.odd, p.task = fresh, p.start, 0, 0
	return nil
}

// command plays what is not config.
func (p *player) command(name string, words []string) error {
	a := &args{words: words}
	switch name {
	case "wait":
	case "up":
		for len(a.words) > 0 && a.err == nil {
			id := a.child()
			p.step(pool.ChildForked{Child: id, PID: pidOf(id)})
			p.step(pool.ChildReady{Child: id})
		}
	case "tasks":
		return p.tasks(a)
	case "room":
		for len(a.words) > 0 && a.err == nil {
			id := a.child()
			p.say("child %d: may take %t, room %d", id, p.pool.MayTake(id), p.pool.Room(id))
		}
	case "snapshot":
		for _, v := range p.pool.Snapshot(p.now) {
			p.say("%s", view(v))
		}
	default:
		ev, err := event(name, a, p.now)
		if err != nil {
			return err
		}
		p.step(ev)
		return nil
	}
	return a.done()
}

// tasks begins and ends some, under numbers from a million on.
func (p *player) tasks(a *args) error {
	id, count, each := a.child(), a.count("count", a.intOption("count", 1)), a.duration("each", 0)
	if err := a.done(); err != nil {
		return err
	}
	for range count {
		p.task++
		task := 1_000_000 + p.task
		p.step(pool.TaskBegan{Child: id, Task: task})
		if err := p.pass(each, false); err != nil {
			return err
		}
		p.step(pool.TaskEnded{Child: id, Task: task})
	}
	return nil
}

func pidOf(id pool.ChildID) int { return 1000 + int(id) }
