package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"crisper/integration/page"
)

// report is one run of the program.
type report struct {
	Date     string   `json:"date"`
	Commit   string   `json:"commit"`
	Celery   string   `json:"celery"`
	Rounds   int      `json:"rounds"`
	Minutes  float64  `json:"minutes"`
	Side     string   `json:"side,omitempty"` // when it was one only
	Tests    []*test  `json:"tests"`
	LeftOut  []string `json:"left_out"`
	Reasons  []reason `json:"reasons"`
	Unsteady []reason `json:"unsteady"`
	Endings  []ending `json:"endings"`
	Quick    bool     `json:"quick,omitempty"`
}

// finish judges every test.
func (r *report) finish() {
	for _, t := range r.Tests {
		t.Verdict = judge(t, listed(r.Unsteady, t.ID))
	}
}

// summary is the table of the files.
func (r report) summary() [][]string {
	rows := [][]string{{"file", "tests", "stock passes", "crisper passes", "broken"}}
	sum := []int{0, 0, 0, 0}
	for _, file := range r.files() {
		n := []int{0, 0, 0, 0}
		for _, t := range r.Tests {
			if fileOf(t.ID) == file {
				n[0]++
				n[1] += one(len(t.Stock) > 0 && passes(t.Stock) == len(t.Stock))
				n[2] += one(len(t.Crisper) > 0 && passes(t.Crisper) == len(t.Crisper))
				n[3] += one(t.Verdict == broken)
			}
		}
		rows = append(rows, numbers(file, n))
		for i := range sum {
			sum[i] += n[i]
		}
	}
	return append(rows, numbers("all", sum))
}

func numbers(name string, n []int) []string {
	row := []string{name}
	for _, v := range n {
		row = append(row, fmt.Sprint(v))
	}
	return row
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (r report) files() []string {
	var all []string
	for _, t := range r.Tests {
		if f := fileOf(t.ID); !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

func fileOf(id string) string {
	file, _, _ := strings.Cut(id, "::")
	return path.Base(file)
}

func nameOf(id string) string {
	_, name, _ := strings.Cut(id, "::")
	return name
}

// table has a row for each test that wanted says yes to.
func (r report) table(wanted func(*test) bool) [][]string {
	rows := [][]string{{"file", "test", "stock", "crisper", "verdict"}}
	for _, t := range r.Tests {
		if wanted(t) {
			rows = append(rows, []string{fileOf(t.ID), nameOf(t.ID), outcome(t.Stock), outcome(t.Crisper), t.Verdict})
		}
	}
	return rows
}

// part is ours; the rest of the page is written by people.
var part = page.Part{Target: "conformance ARGS=-write"}

func (r report) text() string {
	var out strings.Builder
	fmt.Fprintf(&out, "Measured on %s with `make conformance`, commit %s, the tests of Celery %s, %d round(s) in %.0f minutes.\n\n",
		r.Date, r.Commit, r.Celery, r.Rounds, r.Minutes)
	out.WriteString(page.Markdown(r.summary()))
	out.WriteString("\n### Where the two differ, or stock does not pass\n\n")
	out.WriteString(page.Markdown(r.table(func(t *test) bool { return t.Verdict != same && t.Verdict != skipped })))
	out.WriteString("\n### Workers that ended by themselves\n\n" + r.endings())
	out.WriteString("\n### Tests that do not apply\n\n" + reasons(r.Reasons))
	out.WriteString("\n### Tests that are unsteady by themselves\n\n" + reasons(r.Unsteady))
	out.WriteString("\n### All tests\n\n" + page.Markdown(r.table(func(*test) bool { return true })))
	return out.String()
}

func reasons(all []reason) string {
	rows := [][]string{{"test", "why"}}
	for _, each := range all {
		rows = append(rows, []string{strings.TrimPrefix(each.ID, "t/integration/"), each.Why})
	}
	return page.Markdown(rows)
}

func (r report) endings() string {
	var out strings.Builder
	for _, e := range r.Endings {
		code, when := "did not leave after TERM and was killed", "at the end"
		if e.Code != nil {
			code = fmt.Sprintf("ended with %d", *e.Code)
		}
		if e.Test != "" {
			when = "during " + e.Test
		}
		fmt.Fprintf(&out, "- %s %s %s\n", e.Side, code, when)
	}
	if out.Len() == 0 {
		return "None.\n"
	}
	return out.String()
}
