package celery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"crisper/supervisor/agent"
	"crisper/supervisor/celery/held"
)

// office launches clerks and writes down what they do. Its answers are by message.
type office struct {
	launched, left atomic.Int64
	load           error
	asked          []string
	answers        map[string][]any // an agent.Answer or an error for each time it is asked
	stuck          bool             // whoever is asked does not answer
}

type fakeClerk struct{ *office }

func (o *office) launch(agent.Start) (clerk, error) {
	o.launched.Add(1)
	return fakeClerk{o}, nil
}

func (c fakeClerk) Ready(context.Context) error { return c.load }
func (c fakeClerk) Leave(context.Context)       { c.left.Add(1) }

func (c fakeClerk) Record(ctx context.Context, t agent.LostTask) (a agent.Answer, err error) {
	name := string(t.Message)
	c.asked = append(c.asked, strings.TrimSpace(fmt.Sprint(name, map[bool]string{true: " again"}[t.Again])))
	if c.stuck {
		<-ctx.Done()
		return a, ctx.Err()
	}
	if list := c.answers[name]; len(list) > 0 {
		c.answers[name] = list[1:]
		switch v := list[0].(type) {
		case agent.Answer:
			return v, nil
		case error:
			return a, v
		}
	}
	return a, nil
}

// records plays until nothing happens any more, and returns what was logged.
func records(t *testing.T, o *office, test func(r *recorder, put func(names ...string))) (lines []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		r := newRecorder(zap.New(core), o.launch)
		test(r, func(names ...string) {
			l := lost{node: "w@here", reason: "why", over: func() {}}
			for _, name := range names {
				task := held.Task{ID: name, Name: "proj.t", Message: []byte(name)}
				if name == "" {
					task.Message = nil
				}
				l.tasks = append(l.tasks, task)
			}
			r.put(l)
		})
		r.stop(time.Second)
		for _, line := range logs.All() {
			words, fields := strings.Fields(line.Message), line.ContextMap()
			if fields["tasks"] != nil {
				lines = append(lines, fmt.Sprint("recorded ", fields["tasks"], " before ", fields["recorded_before"]))
			} else {
				lines = append(lines, fmt.Sprint(words[0], " ", fields["id"], ": ", fields["error"]))
			}
		}
	})
	return lines
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestTasksAreRecordedByOneClerkWhichIsSentAwayWhenThereIsNoMore(t *testing.T) {
	o := &office{answers: map[string][]any{"b": {agent.Answer{Reply: []byte(`{"state":"SUCCESS"}`)}}}}
	lines := records(t, o, func(r *recorder, put func(...string)) {
		put("a", "b")
		time.Sleep(clerkIdle / 2) // no real time passes here
		put("c", "")
		time.Sleep(clerkIdle / 2) // no real time passes here
		synctest.Wait()
		if o.left.Load() != 0 {
			t.Error("it was sent away too soon")
		}
		time.Sleep(clerkIdle) // no real time passes here
	})
	expect(t, "asked", o.asked, "a", "b", "c")
	expect(t, "logged", lines, "recorded 1 before 1", "recorded 1 before 0", "a : its message is not known: it is large, or too many were running")
	if o.launched.Load() != 1 || o.left.Load() != 1 {
		t.Errorf("%d launched, %d sent away", o.launched.Load(), o.left.Load())
	}
}

func TestWhatTheBackendDoesNotTakeIsTriedAgainAndHoldsNobodyUp(t *testing.T) {
	away := agent.Answer{Error: "ConnectionError: away"}
	o := &office{answers: map[string][]any{"a": {away, away}}}
	lines := records(t, o, func(r *recorder, put func(...string)) {
		put("a", "b")
		time.Sleep(2*recordAgain + recordAgain/2) // no real time passes here
	})
	expect(t, "asked", o.asked, "a", "b", "a", "a")
	expect(t, "logged", lines, "recorded 2 before 0")
}

func TestATaskThatEndsWhoRecordsItComesLastAndNotForEver(t *testing.T) {
	died := make([]any, 10)
	for i := range died {
		died[i] = agent.ErrRecorderGone
	}
	o := &office{answers: map[string][]any{"a": died}}
	lines := records(t, o, func(r *recorder, put func(...string)) {
		put("a", "b")
		time.Sleep(time.Minute) // no real time passes here
	})
	expect(t, "asked", o.asked, "a", "b", "a again", "a again")
	expect(t, "logged", lines, "recorded 1 before 0", "a a: the recorder is gone")
	if o.launched.Load() != clerkStarts || o.left.Load() != clerkStarts {
		t.Errorf("%d launched, %d sent away", o.launched.Load(), o.left.Load())
	}
}

func TestAnAppThatDoesNotLoadIsTriedThreeTimesAndSaid(t *testing.T) {
	o := &office{load: errors.New("the app does not load: no")}
	lines := records(t, o, func(r *recorder, put func(...string)) {
		put("a")
		time.Sleep(time.Minute) // no real time passes here
	})
	expect(t, "logged", lines, "a a: the app does not load: no")
	if o.launched.Load() != clerkStarts || o.left.Load() != clerkStarts {
		t.Errorf("%d launched, %d sent away", o.launched.Load(), o.left.Load())
	}
}

func TestWhatIsNotRecordedWhenTheTimeIsOverIsSaidOfAll(t *testing.T) {
	o := &office{stuck: true}
	lines := records(t, o, func(r *recorder, put func(...string)) {
		put("a", "b")
		put("c")
		synctest.Wait()
	})
	expect(t, "asked", o.asked, "a")
	if o.launched.Load() != 1 {
		t.Errorf("%d launched, though it was over", o.launched.Load())
	}
	expect(t, "logged", lines, "a b: there was no time for it", "a a: there was no time for it", "a c: there was no time for it")
}

func TestATaskIsNotTriedForLongerThanItsTime(t *testing.T) {
	o := &office{answers: map[string][]any{}}
	for range 1000 {
		o.answers["a"] = append(o.answers["a"], agent.Answer{Error: "away"})
	}
	lines := records(t, o, func(r *recorder, put func(...string)) {
		put("a")
		time.Sleep(recordFor + time.Second) // no real time passes here
		put("b")
		synctest.Wait()
	})
	expect(t, "logged", lines, "a a: away", "recorded 1 before 0")
}

func TestAClerkThatIsReadyAheadWaitsForWhatComes(t *testing.T) {
	o := &office{}
	records(t, o, func(r *recorder, put func(...string)) {
		r.prepare(agent.Start{})
		time.Sleep(10 * clerkIdle) // no real time passes here
		synctest.Wait()
		if o.launched.Load() != 1 || o.left.Load() != 0 {
			t.Errorf("%d launched, %d sent away", o.launched.Load(), o.left.Load())
		}
		put("a")
		synctest.Wait()
	})
	if o.launched.Load() != 1 || o.left.Load() != 1 || len(o.asked) != 1 {
		t.Errorf("%d launched, %d sent away, asked %q", o.launched.Load(), o.left.Load(), o.asked)
	}
}

func TestNothingIsRecordedOfTasksWhoseAgentWasOff(t *testing.T) {
	o := &office{}
	w := newWarden(Care{}, zap.NewNop(), nil)
	w.records = newRecorder(zap.NewNop(), o.launch)
	c := &child{id: 1, off: true}
	w.record(c, []held.Task{{ID: "a", Message: []byte("a")}}, "signal 9 (SIGKILL)")
	w.records.stop(0)
	if w.recording != 0 || o.launched.Load() != 0 {
		t.Error("they may have ended, and nobody has told")
	}
}

func TestADeathIsToldInCelerysWords(t *testing.T) {
	for status, want := range map[string]string{
		"exit status 3": "Worker exited prematurely: exitcode 3.", "signal 9 (SIGKILL)": "Worker exited prematurely: signal 9 (SIGKILL).",
	} {
		if got := (&child{}).deathOf(status); got != want {
			t.Errorf("%s: %s, want %s", status, got, want)
		}
	}
	if got := (&child{cut: true}).deathOf("signal 9 (SIGKILL)"); !strings.HasPrefix(got, "Task was cut off:") {
		t.Error(got)
	}
}
