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
	Date    string `json:"date"`
	Commit  string `json:"commit"`
	Machine string `json:"machine"`
	Side    string `json:"side"`
	Rows    []row  `json:"rows"`
}

var headings = []string{"fault", "trials", "tasks", "lost", "doubled", "recorded as failed", "cut off and run again", "recovery p50 / max", "recovery is"}

func (r report) table() [][]string {
	rows := [][]string{headings}
	for _, each := range r.Rows {
		rows = append(rows, each.cells())
	}
	return rows
}

func (r row) cells() []string {
	if r.Skipped != "" {
		return []string{r.Title, r.Skipped, "", "", "", "", "", "", ""}
	}
	n := func(v int) string { return fmt.Sprint(v) }
	again := n(r.Rerun)
	if r.Again > 0 {
		again += fmt.Sprintf(" (and %d in the moment of its settlement)", r.Again)
	}
	return []string{r.Title, n(r.Trials), n(r.Tasks), r.with(r.Lost, r.LostLate), r.with(r.Doubled, r.DoubledLate), n(r.Recorded), again, r.recovered(), r.Recovery}
}

// with shows a number, and where only late-acknowledged tasks have a promise, theirs.
func (r row) with(all, late int) string {
	if r.Promise == "" || all == 0 {
		return fmt.Sprint(all)
	}
	return fmt.Sprintf("**%d** late, %d early", late, all-late)
}

func (r row) recovered() string {
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

// marks of the part of the page that is ours, one for each side.
func marks(side string) (begin, end string) {
	return "<!-- measured: chaos " + side + "; begin; written by `make chaos` -->\n", "<!-- measured: chaos " + side + "; end -->\n"
}

// write puts the table into a page, and leaves the rest as it is.
func (r report) write(path string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the page: %w", err)
	}
	if err := os.WriteFile(path, []byte(splice(string(old), r)), 0o644); err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	return nil
}

func splice(old string, r report) string {
	begin, end := marks(r.Side)
	part := begin + "\n" + r.page() + "\n" + end
	if before, rest, ok := strings.Cut(old, begin); ok {
		if _, after, ok := strings.Cut(rest, end); ok {
			return before + part + after
		}
	}
	return strings.TrimRight(old, "\n") + "\n\n" + part
}

func (r report) page() string {
	name := map[string]string{crisperSide: "Crisper", stockSide: "Celery's own worker",
		wrappedSide: "`crisper worker --runtime=celery`", besideSide: "Celery's own worker under the same faults"}[r.Side]
	return fmt.Sprintf("%s, measured on %s with `make chaos`, commit %s, on %s.\n\n%s", name, r.Date, r.Commit, r.Machine, markdown(r.table()))
}
