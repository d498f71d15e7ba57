package leader

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"crisper/beat"
	"crisper/beat/message"
	"crisper/beat/planner"
)

// publish fills the messages of a batch and sends it.
func (t *term) publish(l *lane, ticks []beat.Tick) {
	l.open, l.sent = ticks, time.Now()
	if l == t.asked {
		t.render(ticks)
		return
	}
	batch := make([]beat.Publication, len(ticks))
	for i, tick := range ticks {
		values := message.Values{TaskID: beat.TaskID(t.site.Schedule, tick.Entry, tick.Due), DeliveryTag: randomUUID(), Now: t.clock.now()}
		batch[i] = beat.Publication{Tick: tick, Message: t.plan.entries[tick.Entry].Blueprint.Fill(values)}
	}
	t.send(l, batch)
}

var errEnded = errors.New("the term has ended")

// send hands a batch to the publisher.
func (t *term) send(l *lane, batch []beat.Publication) {
	t.jobs <- func() { // there is room: see lead
		var outcomes []beat.Outcome
		err := errEnded
		if !t.ended() {
			outcomes, err = t.site.Publisher.Publish(t.work, t.it.Token, batch)
		}
		at := t.clock.now()
		t.post(func() { t.onPublished(l, batch, outcomes, err, at) })
	}
}

func (t *term) onPublished(l *lane, batch []beat.Publication, outcomes []beat.Outcome, err error, at time.Time) {
	l.open = nil
	if err == nil && len(outcomes) != len(batch) {
		err = fmt.Errorf("%d outcomes of %d ticks", len(outcomes), len(batch))
	}
	if err != nil {
		if t.over || t.ended() {
			return
		}
		if wait := t.failed("cannot publish", err); wait > 0 {
			t.step(l, planner.Failed{Retry: wait})
		}
		return
	}
	t.answered()
	for i, b := range batch {
		if b.Message.Unmade() {
			outcomes[i] = beat.Unroutable
		}
		delete(t.rendered, keyOf(b.Tick))
		delete(t.crashes, keyOf(b.Tick))
		t.onOutcome(l, b, outcomes[i], at)
	}
	if !t.over {
		t.step(l, planner.Published{Outcomes: outcomes})
	}
}

// onOutcome is where a tick becomes the log line, the metric and the state page.
func (t *term) onOutcome(l *lane, b beat.Publication, outcome beat.Outcome, at time.Time) {
	task := ""
	if e := t.plan.entries[b.Tick.Entry]; e != nil {
		task = e.Task
	}
	late := max(0, at.Sub(b.Tick.Due))
	t.noteTick(b, task, outcome, at, late)
	switch {
	case outcome == beat.Published && l == t.own:
		// Celery: beat.py, apply_entry (5.7). What Python makes it logs itself.
		t.log.Info("Scheduler: Sending due task "+b.Tick.Entry+" ("+task+")", zap.String("entry", b.Tick.Entry), zap.String("task", task),
			zap.String("id", b.Message.TaskID), zap.Time("due", b.Tick.Due))
		t.log.Debug(task+" sent. id->"+b.Message.TaskID, zap.String("entry", b.Tick.Entry))
	case outcome == beat.Already:
		t.log.Debug("a tick had been sent", zap.String("entry", b.Tick.Entry), zap.Time("due", b.Tick.Due))
	}
}

// randomUUID is a UUID of version 4, as kombu's delivery tags are.
func randomUUID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
