package main

import (
	"fmt"
	"math"
	"strings"
)

// report is everything that one run of the program found out.
type report struct {
	Facts    facts     `json:"facts"`
	Size     size      `json:"size"`
	Outcomes []outcome `json:"outcomes"`
	Peers    *outcome  `json:"peers,omitempty"`
}

const ours, theirs = "crisper", "celery"

var headings = []string{"what", "unit", "Celery", "Crisper", "times better: min / median / max", "goal", "reached"}

// table has one row for each figure.
func (r report) table() [][]string {
	rows := [][]string{headings}
	for _, o := range r.Outcomes {
		for i, f := range o.Figures {
			rows = append(rows, o.row(i, f))
		}
	}
	return rows
}

func (o outcome) row(i int, f figure) []string {
	mine, other := o.Values[ours][i], o.Values[theirs][i]
	ratio := better(mine, other, f.Higher)
	row := []string{f.Title, f.Unit, ranged(other), ranged(mine), "", f.goal(), ""}
	if s := spreadOf(ratio); len(ratio) > 0 {
		row[4] = fmt.Sprintf("%s / **%s** / %s", number(s.Min), number(s.Median), number(s.Max))
	}
	row[6] = f.reached(spreadOf(ratio), spreadOf(mine), len(mine) > 0)
	return row
}

func (f figure) goal() string {
	switch {
	case f.Goal > 0:
		return "≥ " + number(f.Goal) + "×"
	case f.Limit > 0 && f.Higher:
		return strings.TrimSpace("≥ " + number(f.Limit) + " " + f.Unit)
	case f.Limit > 0:
		return "≤ " + number(f.Limit) + " " + f.Unit
	}
	return ""
}

// reached compares medians with the goal.
func (f figure) reached(ratio, mine spread, measured bool) string {
	switch {
	case !measured || f.Goal == 0 && f.Limit == 0:
		return ""
	case f.Goal > 0 && ratio.Median >= f.Goal, f.Limit > 0 && !f.Higher && mine.Median <= f.Limit, f.Limit > 0 && f.Higher && mine.Median >= f.Limit:
		return "yes"
	}
	return "no"
}

// peerTable has one row for each other system, and Crisper's ratio to it.
func (r report) peerTable() [][]string {
	rows := [][]string{{"no-op tasks/s, 2 processes", "tasks/s", "Crisper is times faster: min / median / max"}}
	if r.Peers == nil {
		return nil
	}
	mine := r.Peers.Values[ours][0]
	for _, name := range []string{"celery tuned", "dramatiq", "huey", ours} {
		row := []string{name, ranged(r.Peers.Values[name][0]), ""}
		if name != ours {
			s := spreadOf(better(mine, r.Peers.Values[name][0], true))
			row[2] = fmt.Sprintf("%s / **%s** / %s", number(s.Min), number(s.Median), number(s.Max))
		}
		rows = append(rows, row)
	}
	return rows
}

// ranged is "median (min–max)".
func ranged(values []float64) string {
	if len(values) == 0 {
		return "not measured"
	}
	s := spreadOf(values)
	if len(values) == 1 {
		return number(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Min), number(s.Max))
}

// number has three significant digits, and no exponent.
func number(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprint(v)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	if digits <= 0 {
		return fmt.Sprintf("%.0f", v)
	}
	text := fmt.Sprintf("%.*f", digits, v)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
