package leader

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"crisper/beat"
	"crisper/beat/app"
	"crisper/beat/message"
	"crisper/beat/planner"
)

const (
	// pythonFor is how long the app may take for one answer before it is replaced.
	pythonFor = 30 * time.Second
	// awayFor is the pause before ticks for which there is no Python are tried again.
	awayFor = 500 * time.Millisecond
	// mostCrashes: a message of which the timekeeper dies so often is given up.
	mostCrashes = 3
)

// render has the app make the messages of a batch, those that it has not made yet.
func (t *term) render(ticks []beat.Tick) {
	of := t.app
	if of == nil {
		t.asked.open = nil
		t.step(t.asked, planner.Failed{Retry: awayFor})
		return
	}
	made := make(map[tickKey]message.Message, len(ticks))
	for _, tick := range ticks {
		if m, ok := t.rendered[keyOf(tick)]; ok {
			made[keyOf(tick)] = m
		}
	}
	schedule := t.site.Schedule
	t.other(func() {
		var err error
		var stopped beat.Tick
		for _, tick := range ticks {
			if _, ok := made[keyOf(tick)]; ok {
				continue
			}
			var m message.Message
			if m, err = t.renderOne(of, tick, beat.TaskID(schedule, tick.Entry, tick.Due)); err != nil {
				stopped = tick
				break
			}
			made[keyOf(tick)] = m
		}
		t.post(func() { t.onRendered(ticks, made, stopped, err) })
	})
}

// renderOne returns an error only when the message is to be asked for again; one that
// cannot be made is empty, and goes nowhere.
func (t *term) renderOne(of *app.App, tick beat.Tick, taskID string) (message.Message, error) {
	ctx, cancel := context.WithTimeout(t.work, pythonFor)
	defer cancel()
	m, err := of.Render(ctx, tick.Entry, taskID, tick.Due)
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, app.ErrGone), t.work.Err() != nil:
		return m, err
	case ctx.Err() != nil:
		t.apps.kick(of)
	}
	// Celery: beat.py, apply_entry logs it and goes on (5.7).
	t.log.Error("Message Error: "+err.Error(), zap.String("entry", tick.Entry), zap.Time("due", tick.Due))
	t.metrics.Unmade()
	return message.Message{TaskID: taskID}, nil
}

func (t *term) onRendered(ticks []beat.Tick, made map[tickKey]message.Message, stopped beat.Tick, err error) {
	for key, m := range made {
		t.rendered[key] = m
	}
	if t.over || t.ended() {
		return
	}
	if err != nil {
		key := keyOf(stopped)
		if t.crashes[key]++; t.crashes[key] >= mostCrashes {
			t.log.Error("the timekeeper dies of this message; the tick is given up", zap.String("entry", stopped.Entry), zap.Time("due", stopped.Due))
			t.metrics.Unmade()
			t.rendered[key] = message.Message{TaskID: beat.TaskID(t.site.Schedule, stopped.Entry, stopped.Due)}
		}
		t.asked.open = nil
		t.step(t.asked, planner.Failed{Retry: awayFor})
		return
	}
	batch := make([]beat.Publication, len(ticks))
	for i, tick := range ticks {
		batch[i] = beat.Publication{Tick: tick, Message: made[keyOf(tick)]}
	}
	t.send(t.asked, batch)
}

// ask asks the app for is_due, or waits for one that can answer.
func (t *term) ask(a planner.Ask) {
	of := t.app
	if of == nil {
		t.questions = append(t.questions, a)
		return
	}
	t.other(func() {
		ctx, cancel := context.WithTimeout(t.work, pythonFor)
		defer cancel()
		verdict, err := of.Ask(ctx, a.Entry, a.Last)
		if ctx.Err() != nil && t.work.Err() == nil {
			t.apps.kick(of)
		}
		t.post(func() { t.onVerdict(a, verdict, err) })
	})
}

func (t *term) onVerdict(a planner.Ask, v app.Verdict, err error) {
	switch {
	case t.over:
	case errors.Is(err, app.ErrGone):
		if t.app == nil || gone(t.app) {
			t.questions = append(t.questions, a)
			return
		}
		t.ask(a)
	case err != nil:
		// Celery: beat.py, Scheduler._is_due_failed (5.7).
		t.log.Error("beat: Cannot calculate the next run of "+a.Entry, zap.String("entry", a.Entry), zap.Error(err))
		t.step(t.asked, planner.Answered{ID: a.ID, Failed: true})
	default:
		answer := planner.Answered{ID: a.ID, Due: v.Due, Next: planning(t.info).MaxInterval}
		if !v.Next.IsZero() {
			answer.Next = max(0, time.Until(v.Next)) // by Python's clock, which is our own
		}
		t.step(t.asked, answer)
	}
}

// askAgain asks what there was nobody to answer for.
func (t *term) askAgain() {
	questions := t.questions
	t.questions = nil
	for _, a := range questions {
		t.ask(a)
	}
}
