package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// The sides of the comparison.
const (
	stockSide   = "stock"
	crisperSide = "crisper"
)

// event is one line of what external_worker.py tells.
type event struct {
	Event   string  `json:"event"` // chosen, left out, test, worker died, worker stopped
	Test    string  `json:"test"`
	Worker  bool    `json:"worker"`
	Outcome string  `json:"outcome"`
	Words   string  `json:"words"`
	Seconds float64 `json:"seconds"`
	Code    *int    `json:"code"` // nil: had to be killed
}

// trial is one run of one test on one side.
type trial struct {
	Outcome string  `json:"outcome"` // passed, failed, skipped, xfailed, xpassed
	Seconds float64 `json:"seconds"`
	Words   string  `json:"words,omitempty"` // of a failure
}

func (t trial) passed() bool { return t.Outcome == "passed" || t.Outcome == "xpassed" }

// test is what happened to one test.
type test struct {
	ID      string  `json:"id"`
	Worker  bool    `json:"worker"` // it asks for one
	Stock   []trial `json:"stock"`
	Crisper []trial `json:"crisper"`
	Verdict string  `json:"verdict"`
	Again   bool    `json:"again,omitempty"` // run again, see again.go
}

// ending is a worker that ended before it was told to, or badly.
type ending struct {
	Side string `json:"side"`
	Test string `json:"test,omitempty"` // that ran when it died
	Code *int   `json:"code"`           // nil: it did not leave after TERM and was killed
}

// readEvents reads the whole lines of a results file.
func readEvents(path string) ([]event, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the results: %w", err)
	}
	var all []event
	for line := range bytes.Lines(text) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("cannot read line %d of %s: %w", len(all)+1, path, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// add puts one side's round into the report.
func (r *report) add(side string, events []event) {
	for _, e := range events {
		switch e.Event {
		case "chosen":
			r.test(e.Test).Worker = e.Worker
		case "left out":
			r.leftOut(e.Test)
		case "test":
			one := trial{Outcome: e.Outcome, Seconds: e.Seconds, Words: e.Words}
			t := r.test(e.Test)
			if side == stockSide {
				t.Stock = append(t.Stock, one)
			} else {
				t.Crisper = append(t.Crisper, one)
			}
		case "worker died":
			r.Endings = append(r.Endings, ending{Side: side, Test: e.Test, Code: e.Code})
		case "worker stopped":
			if e.Code == nil || *e.Code != 0 {
				r.Endings = append(r.Endings, ending{Side: side, Code: e.Code})
			}
		}
	}
}

func (r *report) test(id string) *test {
	at := slices.IndexFunc(r.Tests, func(t *test) bool { return t.ID == id })
	if at < 0 {
		at = len(r.Tests)
		r.Tests = append(r.Tests, &test{ID: id})
	}
	return r.Tests[at]
}

// leftOut counts a deselected test once, whatever side and round it is told by.
func (r *report) leftOut(id string) {
	if !slices.Contains(r.LeftOut, id) {
		r.LeftOut = append(r.LeftOut, id)
	}
}

// reason is one line of not_applicable.txt or unsteady.txt.
type reason struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

func readReasons(path string) ([]reason, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read a list of tests: %w", err)
	}
	var all []reason
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, why, _ := strings.Cut(line, " ")
		if why = strings.TrimSpace(why); why == "" {
			return nil, fmt.Errorf("%s: %s has no reason", path, id)
		}
		all = append(all, reason{ID: id, Why: why})
	}
	return all, nil
}

// listed: a test stands for all its parameters.
func listed(all []reason, id string) bool {
	name, _, _ := strings.Cut(id, "[")
	return slices.ContainsFunc(all, func(r reason) bool { return r.ID == id || r.ID == name })
}
