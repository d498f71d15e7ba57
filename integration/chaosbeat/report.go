package main

import (
	"fmt"
	"slices"

	"crisper/integration/page"
)

// report is one run of the program.
type report struct {
	Date     string `json:"date"`
	Commit   string `json:"commit"`
	Machine  string `json:"machine"`
	Election string `json:"election"`
	Broker   string `json:"broker"`
	Rows     []row  `json:"rows"`
	// Interrupted: rows are missing, or have fewer trials.
	Interrupted bool `json:"interrupted,omitempty"`
}

var headings = []string{"fault", "trials", "ticks", "missed", "doubled", "take-over p50 / max", "promised", "take-over is"}

func (r report) table() [][]string {
	rows := [][]string{headings}
	for _, each := range r.Rows {
		rows = append(rows, each.cells())
	}
	return rows
}

func (r row) cells() []string {
	if r.Skipped != "" {
		return []string{r.Title, r.Skipped, "", "", "", "", "", ""}
	}
	n := func(v int) string { return fmt.Sprint(v) }
	limit := "–"
	if r.Limit > 0 {
		limit = fmt.Sprintf("≤ %g s", r.Limit)
	}
	if r.Late > 0 {
		limit += fmt.Sprintf("; %d later, the machine stood still for up to %.1f s meanwhile", r.Late, r.Stalled)
	}
	missed := n(r.Missed)
	if r.Stray > 0 {
		missed += fmt.Sprintf(" (and %d messages that are no tick)", r.Stray)
	}
	return []string{r.Title, n(r.Trials), n(r.Ticks), missed, n(r.Doubled), r.tookOver(), limit, r.Recovery}
}

func (r row) tookOver() string {
	if len(r.Seconds) == 0 {
		return "–"
	}
	sorted := slices.Sorted(slices.Values(r.Seconds))
	return page.Duration(sorted[len(sorted)/2]) + " / " + page.Duration(sorted[len(sorted)-1])
}

// part is where the table of a pair of election and broker stands.
func (r report) part() page.Part {
	return page.Part{What: "chaos-beat " + r.Election + " " + r.Broker, Target: "chaos-beat"}
}

func (r report) text() string {
	whole := ""
	if r.Interrupted {
		whole = " The run was interrupted: it has fewer trials than were wanted."
	}
	return fmt.Sprintf("Election by %s, messages on %s: measured on %s with `make chaos-beat`, commit %s, on %s.%s\n\n%s",
		r.Election, r.Broker, r.Date, r.Commit, r.Machine, whole, page.Markdown(r.table()))
}
