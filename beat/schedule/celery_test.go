//go:build integration

package schedule

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"
)

// celery is the real package, in one process.
type celery struct {
	t       *testing.T
	in      io.Writer
	answers *bufio.Reader
}

func startCelery(t *testing.T) *celery {
	t.Helper()
	python := os.Getenv("CRISPER_TEST_PYTHON")
	if python == "" {
		python = "../../.cache/celery57/bin/python"
	}
	cmd := exec.Command(python, "testdata/answers.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start %s: %v", python, err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("answers.py: %v", err)
		}
	})
	return &celery{t: t, in: in, answers: bufio.NewReaderSize(out, 1<<20)}
}

// ask sends one batch and reads its answers.
func ask[A any](c *celery, questions [][]any) []A {
	c.t.Helper()
	line, err := json.Marshal(questions)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		c.t.Fatal(err)
	}
	line, err = c.answers.ReadBytes('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	var answers []A
	if err := json.Unmarshal(bytes.TrimSpace(line), &answers); err != nil || len(answers) != len(questions) {
		c.t.Fatalf("%d answers to %d questions: %v", len(answers), len(questions), err)
	}
	return answers
}

// zones are those that both know.
func (c *celery) zones() []*time.Location {
	var known []*time.Location
	for _, name := range ask[[]string](c, [][]any{{"zones"}})[0] {
		if z, err := time.LoadLocation(name); err == nil && name != "localtime" && name != "Factory" {
			known = append(known, z)
		}
	}
	if len(known) < 300 {
		c.t.Fatalf("only %d time zones are known to both", len(known))
	}
	return known
}

const batch = 2000

func TestCrontabsAreDueWhenCelerysAreExceptWhereItErrs(t *testing.T) {
	const triples = 240_000
	c := startCelery(t)
	known := c.zones()
	seed := rand.Uint64()
	draw := rand.New(rand.NewPCG(seed, 0))
	count := map[string]int{}
	for asked := 0; asked < triples; {
		var crontabs []*Crontab
		var lasts []time.Time
		var questions [][]any
		for len(questions) < batch {
			texts := randomCrontab(draw)
			s, err := ParseCrontab(texts[0], texts[1], texts[2], texts[3], texts[4])
			if err != nil {
				continue
			}
			in := known[draw.IntN(len(known))]
			last := randomMoment(draw, in)
			crontabs, lasts = append(crontabs, s.In(in)), append(lasts, last)
			questions = append(questions, []any{"next", in.String(), texts, last.UnixMicro()})
		}
		for i, micros := range ask[int64](c, questions) {
			asked++
			verdict := compareCrontab(crontabs[i], lasts[i], time.UnixMicro(micros))
			count[verdict]++
			if verdict == "different" {
				t.Errorf("seed %d: %v after %s: %s, Celery says %s", seed, crontabs[i], lasts[i].In(crontabs[i].zone),
					crontabs[i].Next(lasts[i]).In(crontabs[i].zone), time.UnixMicro(micros).In(crontabs[i].zone))
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("of %d: %v", triples, count)
	for _, expected := range []string{"equal", storm, skippedHour} {
		if count[expected] == 0 {
			t.Errorf("no triple was %q: the moments are not near the clock changes", expected)
		}
	}
}

// The differences that are meant, with the reports of them.
const (
	storm       = "Celery names a moment that is over (celery pull request #10608)"
	skippedHour = "Celery skips the hour that comes twice (celery #10107)"
)

func compareCrontab(c *Crontab, last, theirs time.Time) string {
	ours := c.Next(last)
	switch again := firstAt(wallOf(ours, c.zone).Unix(), spellAt(ours.Add(-48*time.Hour), c.zone), c.zone).Before(ours); {
	case ours.Equal(theirs):
		return "equal"
	case !theirs.After(last) && ours.After(last):
		return storm
	case c.byRealTime && again && ours.Before(theirs):
		return skippedHour
	}
	return "different"
}

// randomMoment is any from 1970 to 2100, mostly near a change of the clock.
func randomMoment(draw *rand.Rand, in *time.Location) time.Time {
	moment := time.UnixMicro(draw.Int64N(4_102_444_800_000_000))
	switch start, end := moment.In(in).ZoneBounds(); {
	case draw.IntN(5) < 2 || end.IsZero():
	case draw.IntN(2) == 0 && start.Unix() > 0:
		moment = start.Add(time.Duration(draw.Int64N(int64(26 * time.Hour)))).Truncate(time.Microsecond)
	default:
		moment = end.Add(-time.Duration(draw.Int64N(int64(26 * time.Hour)))).Truncate(time.Microsecond)
	}
	if draw.IntN(3) == 0 {
		moment = moment.Truncate(time.Minute)
	}
	return moment
}

func TestRelativeIntervalsAreDueWhenCelerysAre(t *testing.T) {
	c := startCelery(t)
	known := c.zones()
	seed := rand.Uint64()
	draw := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		var schedules []Schedule
		var lasts []time.Time
		var questions [][]any
		for len(questions) < batch {
			in := known[draw.IntN(len(known))]
			seconds := []int{1, 30, 60, 90, 3600, 5400, 7200, 86400, 129600, 172800, 1 + draw.IntN(300_000)}[draw.IntN(11)]
			s, err := RelativeTo(time.Duration(seconds)*time.Second, in)
			if err != nil {
				t.Fatal(err)
			}
			last := randomMoment(draw, in)
			schedules, lasts = append(schedules, s), append(lasts, last)
			questions = append(questions, []any{"relative", in.String(), seconds, last.UnixMicro()})
		}
		for i, micros := range ask[int64](c, questions) {
			ours, theirs := schedules[i].Next(lasts[i]), time.UnixMicro(micros)
			// A moment that is over makes Celery send at once; here the interval passes first.
			if !ours.Equal(theirs) && (theirs.After(lasts[i]) || !ours.Equal(lasts[i].Add(schedules[i].(Relative).every))) {
				t.Errorf("seed %d: %v after %s: %s, Celery says %s", seed, schedules[i], lasts[i].In(schedules[i].(Relative).zone), ours, theirs)
			}
		}
	}
}

func TestACrontabIsDueWithinTheDeadlineWhenCelerysIs(t *testing.T) {
	c := startCelery(t)
	known := c.zones()
	seed := rand.Uint64()
	draw := rand.New(rand.NewPCG(seed, 0))
	due := 0
	for range 10 {
		var ours []bool
		var questions [][]any
		for len(questions) < batch {
			texts := randomCrontab(draw)
			s, err := ParseCrontab(texts[0], texts[1], texts[2], texts[3], texts[4])
			if err != nil {
				continue
			}
			in := known[draw.IntN(len(known))]
			last := time.UnixMicro(draw.Int64N(4_102_444_800_000_000))
			now := last.Add(time.Duration(draw.Int64N(int64(72 * time.Hour)))).Truncate(time.Second)
			deadline := 1 + draw.IntN(100_000)
			if changes(last.Add(-30*time.Hour), now.Add(72*time.Hour), in) {
				continue // there the two are different on purpose
			}
			moments, _ := Due(s.In(in), last, now, Policy{StartingDeadline: time.Duration(deadline) * time.Second})
			ours = append(ours, len(moments) > 0)
			questions = append(questions, []any{"due", in.String(), texts, last.UnixMicro(), now.UnixMicro(), deadline})
		}
		for i, theirs := range ask[bool](c, questions) {
			if theirs != ours[i] {
				t.Errorf("seed %d: %v: %t, Celery says %t", seed, questions[i], ours[i], theirs)
			}
			if theirs {
				due++
			}
		}
	}
	if due < 100 {
		t.Errorf("only %d were due", due)
	}
}

// changes says whether a clock changes between two moments.
func changes(from, until time.Time, in *time.Location) bool {
	_, end := from.In(in).ZoneBounds()
	return !end.IsZero() && !end.After(until)
}

func TestTheParserReadsAndRefusesWhatCelerysDoes(t *testing.T) {
	c := startCelery(t)
	seed := rand.Uint64()
	draw := rand.New(rand.NewPCG(seed, 0))
	read, refused := 0, 0
	for range 15 {
		var all [][5]string
		var questions [][]any
		for len(questions) < batch {
			texts := randomCrontab(draw)
			if draw.IntN(2) == 0 {
				i := draw.IntN(5)
				texts[i] = spoil(draw, texts[i])
			}
			all, questions = append(all, texts), append(questions, []any{"sets", texts})
		}
		for i, theirs := range ask[[][]int](c, questions) {
			if ours := setsOf(all[i]); fmt.Sprint(ours) != fmt.Sprint(theirs) {
				t.Errorf("seed %d: %q: %v, Celery says %v", seed, all[i], ours, theirs)
			}
			if theirs == nil {
				refused++
			} else {
				read++
			}
		}
	}
	t.Logf("%d read, %d refused", read, refused)
}

// setsOf is what ParseCrontab makes of five fields; nil when it refuses them.
func setsOf(texts [5]string) [][]int {
	if _, err := ParseCrontab(texts[0], texts[1], texts[2], texts[3], texts[4]); err != nil {
		return nil
	}
	lists := make([][]int, len(fields))
	for i, f := range fields {
		s, _ := f.parse(texts[i])
		for n := range 64 {
			if s.has(n) {
				lists[i] = append(lists[i], n)
			}
		}
	}
	return lists
}

// spoil changes a field in a place or two.
func spoil(draw *rand.Rand, text string) string {
	runes := []rune(text)
	for range 1 + draw.IntN(2) {
		i := draw.IntN(len(runes) + 1)
		bit := []rune([]string{"-", "/", ",", "*", "7", "0", "99", " ", "_", "+", "x", "jan", "Sunday", "\n", "٣", "/0", "é", "²", "\x1f", "\u00a0", "."}[draw.IntN(21)])
		runes = append(runes[:i:i], append(bit, runes[min(len(runes), i+draw.IntN(2)):]...)...)
	}
	return string(runes)
}
