package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
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
	return duration(sorted[len(sorted)/2]) + " / " + duration(sorted[len(sorted)-1])
}

func duration(seconds float64) string {
	if seconds < 1 {
		return fmt.Sprintf("%.0f ms", seconds*1000)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

// plain is the table for a terminal.
func plain(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2)
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return out.String()
}

func markdown(rows [][]string) string {
	var out strings.Builder
	for i, row := range rows {
		out.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			out.WriteString(strings.Repeat("| --- ", len(row)) + "|\n")
		}
	}
	return out.String()
}

// marks of the part of the page that is ours, one for each pair of election and broker.
func (r report) marks() (begin, end string) {
	what := "<!-- measured: chaos-beat " + r.Election + " " + r.Broker
	return what + "; begin; written by `make chaos-beat` -->\n", what + "; end -->\n"
}

// write puts the table into a page, and leaves the rest as it is.
func (r report) write(path string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the page: %w", err)
	}
	if err := os.WriteFile(path, []byte(r.splice(string(old))), 0o644); err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	return nil
}

func (r report) splice(old string) string {
	begin, end := r.marks()
	part := begin + "\n" + r.page() + "\n" + end
	if before, rest, ok := strings.Cut(old, begin); ok {
		if _, after, ok := strings.Cut(rest, end); ok {
			return before + part + after
		}
	}
	return strings.TrimRight(old, "\n") + "\n\n" + part
}

func (r report) page() string {
	whole := ""
	if r.Interrupted {
		whole = " The run was interrupted: it has fewer trials than were wanted."
	}
	return fmt.Sprintf("Election by %s, messages on %s: measured on %s with `make chaos-beat`, commit %s, on %s.%s\n\n%s",
		r.Election, r.Broker, r.Date, r.Commit, r.Machine, whole, markdown(r.table()))
}
