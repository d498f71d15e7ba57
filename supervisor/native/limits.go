package native

import (
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/consumer"
	"crisper/supervisor/control"
)

// limit is the rate limit of one kind of task. What waits for it is in our hands and
// counts as prefetched; it is nowhere in the ledger.
//
// Celery: what waits when the rate is changed goes on at the old rate
// (worker/consumer/consumer.py, 5.7); here the new one holds for all.
type limit struct {
	bucket  *consumer.Bucket // nil: no limit any more, what waits may go
	waiting []*entry
}

// setRate gives a kind its rate, in tasks per second; 0 is none.
func (l *loop) setRate(k *taskKind, rate float64) {
	if rate <= 0 || !l.cfg.Remote.Limits {
		if k.limit != nil {
			k.limit.bucket = nil
		}
		return
	}
	if k.limit == nil {
		k.limit = &limit{}
		l.remote.limited = append(l.remote.limited, k)
	}
	k.limit.bucket = consumer.NewBucket(l.now, rate)
}

// appRate is the rate that the app, or remote control after it, gives a task.
func (l *loop) appRate(name string, attribute json.RawMessage) float64 {
	if text, ok := l.remote.rates[name]; ok {
		attribute, _ = json.Marshal(text) // a string always has a JSON form
	}
	rate, problem := control.Rate(attribute)
	if problem != "" {
		l.log.Error("cannot read the rate limit of a task; it has none", zap.String("task", name), zap.String("problem", problem))
	}
	return rate
}

// heldBack tells whether an entry has to wait for the rate of its kind.
func (l *loop) heldBack(e *entry) bool {
	limit := e.Data.kind.limit
	if limit == nil || limit.bucket == nil || len(limit.waiting) == 0 && limit.bucket.Take(l.now) {
		return false
	}
	limit.waiting = append(limit.waiting, e)
	return true
}

// releaseLimited reserves what its rate allows by now.
func (l *loop) releaseLimited() {
	for _, k := range l.remote.limited {
		for len(k.limit.waiting) > 0 {
			e := k.limit.waiting[0]
			if !e.Lost && k.limit.bucket != nil && !k.limit.bucket.Take(l.now) {
				break
			}
			k.limit.waiting = k.limit.waiting[1:]
			if e.Lost {
				continue // the ledger has closed it
			}
			if err := l.book.Reserve(e); err != nil {
				l.bug("cannot reserve a delivery", err)
			}
		}
	}
}

// takeLimited returns what waits for its rate, for a drain.
func (l *loop) takeLimited() (all []*entry) {
	for _, k := range l.remote.limited {
		for _, e := range k.limit.waiting {
			if !e.Lost {
				all = append(all, e)
			}
		}
		k.limit.waiting = nil
	}
	return all
}

func (l *loop) nextLimited() (next time.Time) {
	for _, k := range l.remote.limited {
		if len(k.limit.waiting) > 0 && k.limit.bucket != nil {
			next = earliest(next, k.limit.bucket.Next(l.now))
		}
	}
	return next
}
