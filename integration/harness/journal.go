package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Journal is the file in which tasks write their own start and end.
type Journal struct{ Path string }

// Entry is one line of the journal.
type Entry struct {
	Event       string  `json:"event"` // start, end, errback
	Task        string  `json:"task"`
	ID          string  `json:"id"`
	PID         int     `json:"pid"`
	Wall        float64 `json:"wall"` // seconds
	Mono        float64 `json:"mono"` // seconds, comparable between processes of one machine
	Retries     int     `json:"retries"`
	Redelivered bool    `json:"redelivered"`
	Outcome     string  `json:"outcome"` // of end: ok or the exception's type
	Sent        float64 `json:"sent"`    // of sample.stamp
	Failed      string  `json:"failed"`  // of errback
	Exception   string  `json:"exception"`
}

// At is the wall time of the entry.
func (e Entry) At() time.Time { return time.Unix(0, int64(e.Wall*1e9)) }

// Entries reads all whole lines.
func (j *Journal) Entries() ([]Entry, error) {
	text, err := os.ReadFile(j.Path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal: %w", err)
	}
	var all []Entry
	for line := range bytes.Lines(text) {
		if line[len(line)-1] != '\n' {
			break // being written
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("cannot read line %d of the journal: %w", len(all)+1, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// Runs counts what happened to one task.
type Runs struct {
	Starts, Ends int
	Entries      []Entry
}

// Tasks sorts the journal by task id.
func (j *Journal) Tasks() (map[string]Runs, error) {
	entries, err := j.Entries()
	if err != nil {
		return nil, err
	}
	tasks := map[string]Runs{}
	for _, e := range entries {
		r := tasks[e.ID]
		switch e.Event {
		case "start":
			r.Starts++
		case "end":
			r.Ends++
		}
		r.Entries = append(r.Entries, e)
		tasks[e.ID] = r
	}
	return tasks, nil
}

// Verdict is what the journal says about a set of tasks.
type Verdict struct {
	Tasks   int
	Lost    []string // never ended
	Doubled []string // started more than once
}

// Judge compares what was sent with what ran.
func (j *Journal) Judge(ids []string) (Verdict, error) {
	tasks, err := j.Tasks()
	v := Verdict{Tasks: len(ids)}
	for _, id := range ids {
		if tasks[id].Ends == 0 {
			v.Lost = append(v.Lost, id)
		}
		if tasks[id].Starts > 1 {
			v.Doubled = append(v.Doubled, id)
		}
	}
	return v, err
}

// UntilStarted waits until all these tasks have begun.
func (j *Journal) UntilStarted(ctx context.Context, ids ...string) error {
	return j.until(ctx, "start", ids, func(r Runs) bool { return r.Starts > 0 })
}

// UntilEnded waits until all these tasks have ended.
func (j *Journal) UntilEnded(ctx context.Context, ids ...string) error {
	return j.until(ctx, "end", ids, func(r Runs) bool { return r.Ends > 0 })
}

func (j *Journal) until(ctx context.Context, what string, ids []string, done func(Runs) bool) error {
	size, missing := int64(-1), 0
	err := Until(ctx, fmt.Sprintf("%d tasks to %s in the journal", len(ids), what), func() bool {
		if info, err := os.Stat(j.Path); err != nil || info.Size() == size {
			return len(ids) == 0
		} else {
			size = info.Size() // read it only when it has grown
		}
		tasks, err := j.Tasks()
		missing = 0
		for _, id := range ids {
			if !done(tasks[id]) {
				missing++
			}
		}
		return err == nil && missing == 0
	})
	if err != nil {
		return fmt.Errorf("%d of %d tasks did not %s: %w", missing, len(ids), what, err)
	}
	return nil
}
