package celery

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"crisper/supervisor/agent"
	"crisper/supervisor/celery/held"
)

// book is what became of the tasks that went with one worker.
type book struct {
	lost
	open            []*entry // not recorded yet
	hopeless        []*entry
	recorded, known int // by us; by Celery before
}

type entry struct {
	task  held.Task
	again bool // it may be recorded, by a clerk that died
	why   string
}

func newBook(l lost) *book {
	b := &book{lost: l}
	for _, t := range l.tasks {
		e := &entry{task: t, why: "there was no time for it"}
		if t.Message == nil {
			e.why = "its message is not known: it is large, or too many were running"
			b.hopeless = append(b.hopeless, e)
			continue
		}
		b.open = append(b.open, e)
	}
	return b
}

// round tries each task once. After an error the clerk is of no use any more, and the
// task that it was at comes last the next time.
func (b *book) round(ctx context.Context, s clerk) error {
	var open []*entry
	for i, e := range b.open {
		answer, err := s.Record(ctx, agent.LostTask{Message: e.task.Message, Hostname: b.node, Reason: b.reason, Again: e.again})
		switch {
		case err != nil:
			e.again = true
			b.open = append(append(open, b.open[i+1:]...), e)
			return err
		case answer.Error != "":
			e.why = answer.Error
			open = append(open, e)
		case answer.Reply != nil:
			b.known++
		default:
			b.recorded++
		}
	}
	b.open = open
	return nil
}

// fail notes why nothing could be recorded; that the time is over says less than what
// took it.
func (b *book) fail(err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	for _, e := range b.open {
		e.why = err.Error()
	}
}

func (b *book) tell(log *zap.Logger) {
	if b.recorded+b.known > 0 {
		log.Info("tasks that went with their worker are recorded as failed", zap.String("node", b.node),
			zap.Int("tasks", b.recorded), zap.Int("recorded_before", b.known))
	}
	left := append(b.open, b.hopeless...)
	for i, e := range left {
		if i == namedTasks {
			log.Error("more tasks that went with their worker are not recorded", zap.String("node", b.node), zap.Int("tasks", len(left)-i))
			break
		}
		log.Error("a task that went with its worker is not recorded as failed: who waits for it waits in vain", zap.String("task", e.task.Name),
			zap.String("id", e.task.ID), zap.String("node", b.node), zap.String("error", e.why))
	}
}
