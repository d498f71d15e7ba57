package planner

import (
	"time"

	"crisper/beat"
)

func (p *Planner) onLoaded(now time.Time, ev Loaded) {
	p.items = make(map[string]*item, len(ev.Entries))
	p.queue, p.batch = make(queue, 0, len(ev.Entries)), nil
	p.retryAt = time.Time{}
	clear(p.asked)
	p.add(now, ev.Entries, ev.Records)
}

// add enters what is not there yet.
func (p *Planner) add(now time.Time, entries []Entry, records map[string]beat.Record) {
	for _, e := range entries {
		if p.items[e.Name] == nil {
			it := newItem(e, records[e.Name], now)
			p.items[e.Name] = it
			p.enqueue(now, it)
		}
	}
}

func (p *Planner) onReloaded(now time.Time, ev Reloaded) {
	wanted := make(map[string]bool, len(ev.Entries))
	for _, e := range ev.Entries {
		wanted[e.Name] = true
		if it := p.items[e.Name]; it != nil {
			p.change(now, it, e, ev.Records[e.Name])
		}
	}
	for name, it := range p.items {
		if !wanted[name] {
			p.drop(it)
		}
	}
	p.add(now, ev.Entries, ev.Records)
}

// change gives an entry its new schedule. Its record stays, as in Celery: a
// schedule that was due meanwhile is due now.
func (p *Planner) change(now time.Time, it *item, e Entry, r beat.Record) {
	if r.Last.After(it.record.Last) {
		it.record = r
	}
	if it.same(e) && !it.record.Last.After(it.handled) {
		return
	}
	p.forget(it)
	it.entry, it.handled = e, it.record.Last
	p.enqueue(now, it)
}

// forget drops what Python was asked and what it said.
func (p *Planner) forget(it *item) {
	delete(p.asked, it.question)
	it.question, it.due = 0, time.Time{}
}

func (p *Planner) drop(it *item) {
	p.forget(it)
	it.gone, it.at = true, time.Time{}
	p.queueAt(it)
	delete(p.items, it.entry.Name)
}

// onPublished moves the records. Of a tick that the store had already only the
// outcome differs: its record is not older than the tick either way.
func (p *Planner) onPublished(now time.Time, ev Published, acts []Action) []Action {
	if len(p.batch) == 0 {
		return acts
	}
	if len(ev.Outcomes) != len(p.batch) {
		p.onFailed(now, Failed{Retry: time.Second}) // no answer to what was offered
		return acts
	}
	batch := p.release()
	for _, b := range batch {
		if b.skipped > 0 {
			acts = append(acts, Skipped{Entry: b.tick.Entry, N: b.skipped, Reason: b.reason})
		}
		b.item.settle(b.tick)
	}
	p.requeue(now, batch, true)
	return acts
}

// settle takes a tick as sent.
func (it *item) settle(t beat.Tick) {
	if t.Due.After(it.record.Last) {
		it.record = beat.Record{Last: t.Due, Count: t.Count}
	}
	if t.Due.After(it.handled) {
		it.handled = t.Due
	}
}

// onFailed lets the batch go: what is due is found again when it is retried, by the
// same records, so the same ticks are, and the rules for gaps apply to them anew.
func (p *Planner) onFailed(now time.Time, ev Failed) {
	p.retryAt = now.Add(max(0, ev.Retry))
	p.requeue(now, p.release(), false)
}

// release empties the batch.
func (p *Planner) release() []pending {
	batch := p.batch
	p.batch = nil
	for _, b := range batch {
		b.item.offered = false
	}
	return batch
}

// requeue puts the items of a batch back; after their tick those that Python knows
// are asked about again when it said.
func (p *Planner) requeue(now time.Time, batch []pending, sent bool) {
	for i, b := range batch {
		if i > 0 && batch[i-1].item == b.item {
			continue
		}
		it := b.item
		if sent && !it.gone && it.question == 0 && it.due.Equal(b.tick.Due) {
			it.due, it.at = time.Time{}, now.Add(max(leastPause, it.pause))
			p.queueAt(it)
			continue
		}
		p.enqueue(now, it)
	}
}

// leastPause is between two questions about one entry, whatever Python says.
const leastPause = 10 * time.Millisecond

// onAnswered believes the answer to the latest question about an entry.
func (p *Planner) onAnswered(now time.Time, ev Answered) {
	it := p.asked[ev.ID]
	if it == nil {
		return
	}
	p.forget(it)
	if moment := ev.moment(now, it.record.Last); moment.After(it.record.Last) && ev.Due && !ev.Failed {
		it.due, it.pause, it.at = moment, ev.Next, moment
	} else {
		pause := max(leastPause, ev.Next)
		if ev.Failed {
			pause = p.cfg.MaxInterval
		}
		it.at = now.Add(pause)
	}
	p.queueAt(it)
}

// moment is the due moment that Python told, if it can be one: after the last, and
// not in the future.
func (a Answered) moment(now, last time.Time) time.Time {
	if a.At.After(last) && !a.At.After(now) {
		return a.At
	}
	return now
}
