package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"crisper/integration/harness"
)

// attempt is one execution of a task. A zero end: it was cut off, or still runs.
type attempt struct {
	pid        int
	start, end time.Time
}

// Celery's words for how a task ended.
const success, failure = "SUCCESS", "FAILURE"

// record is what the result backend was first seen to say.
type record struct {
	state string
	at    time.Time
}

// book knows what became of tasks: from the journal, of which it reads only what is
// new, and from the result backend.
type book struct {
	path    string
	offset  int64
	runs    map[string][]attempt
	records map[string]record
	backend *harness.Redis
}

func newBook(path string, backend *harness.Redis) *book {
	return &book{path: path, runs: map[string][]attempt{}, records: map[string]record{}, backend: backend}
}

// refresh reads the lines that were added to the journal.
func (b *book) refresh() error {
	file, err := os.Open(b.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open the journal: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, b.offset, 1<<40))
	if err != nil {
		return fmt.Errorf("cannot read the journal: %w", err)
	}
	for line := range bytes.Lines(text) {
		if line[len(line)-1] != '\n' {
			break // being written
		}
		var e harness.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("cannot read a line of the journal: %w", err)
		}
		b.offset += int64(len(line))
		b.add(e)
	}
	return nil
}

func (b *book) add(e harness.Entry) {
	switch e.Event {
	case "start":
		b.runs[e.ID] = append(b.runs[e.ID], attempt{pid: e.PID, start: e.At()})
	case "end":
		// The exception that ends a process from within is no end of the task.
		if e.Outcome != "ok" {
			return
		}
		runs := b.runs[e.ID]
		for i := len(runs) - 1; i >= 0; i-- {
			if runs[i].pid == e.PID && runs[i].end.IsZero() {
				runs[i].end = e.At()
				return
			}
		}
	}
}

// ask reads the states of tasks from the backend. Final states stay as first seen.
func (b *book) ask(ctx context.Context, ids []string) error {
	var keys, open []string
	for _, id := range ids {
		if _, known := b.records[id]; !known {
			keys, open = append(keys, "celery-task-meta-"+id), append(open, id)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	values, err := b.backend.Client.MGet(ctx, keys...).Result()
	if err != nil {
		return fmt.Errorf("cannot read results: %w", err)
	}
	for i, v := range values {
		text, ok := v.(string)
		if !ok {
			continue
		}
		var meta struct {
			Status string `json:"status"`
		}
		if err := json.Unmarshal([]byte(text), &meta); err != nil {
			return fmt.Errorf("cannot read the result of %s: %w", open[i], err)
		}
		if meta.Status == success || meta.Status == failure {
			b.records[open[i]] = record{meta.Status, time.Now()}
		}
	}
	return nil
}

// running lists the tasks among ids that have started and not ended, with the process.
func (b *book) running(ids []string) map[string]int {
	found := map[string]int{}
	for _, id := range ids {
		if runs := b.runs[id]; len(runs) > 0 && runs[len(runs)-1].end.IsZero() {
			found[id] = runs[len(runs)-1].pid
		}
	}
	return found
}

func (b *book) ended(id string) bool {
	for _, r := range b.runs[id] {
		if !r.end.IsZero() {
			return true
		}
	}
	return false
}

func (b *book) failed(id string) bool { return b.records[id].state == failure }

// firstStartAfter is the first start of any of the tasks after a time, in any
// process that seen does not have.
func (b *book) firstStartAfter(at time.Time, ids []string, seen map[int]bool) (time.Time, bool) {
	var first time.Time
	for _, id := range ids {
		for _, r := range b.runs[id] {
			if r.start.After(at) && !seen[r.pid] && (first.IsZero() || r.start.Before(first)) {
				first = r.start
			}
		}
	}
	return first, !first.IsZero()
}

// pids are the processes that have run any task so far.
func (b *book) pids() map[int]bool {
	seen := map[int]bool{}
	for _, runs := range b.runs {
		for _, r := range runs {
			seen[r.pid] = true
		}
	}
	return seen
}
