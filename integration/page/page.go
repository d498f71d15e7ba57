// Package page writes what was measured: as a table for a terminal, and into the part
// of a page of the docs that belongs to the program that measures.
package page

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// unmarked is a cell without Markdown.
func unmarked(cell string) string { return strings.NewReplacer("**", "", "`", "").Replace(cell) }

// Plain is a table for a terminal. The first row is its heading.
func Plain(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(unmarked(cell)))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			cell = unmarked(cell)
			line += cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2)
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return out.String()
}

// Markdown is the same table for a page.
func Markdown(rows [][]string) string {
	var out strings.Builder
	for i, row := range rows {
		for _, cell := range row {
			out.WriteString("| " + strings.ReplaceAll(cell, "|", "\\|") + " ")
		}
		out.WriteString("|\n")
		if i == 0 {
			out.WriteString(strings.Repeat("| --- ", len(row)) + "|\n")
		}
	}
	return out.String()
}

// Part is a measured part of a page: what was measured, where there are several, and by
// which target of make.
type Part struct{ What, Target string }

func (p Part) marks() (begin, end string) {
	what := "<!-- measured:"
	if p.What != "" {
		what += " " + p.What + ";"
	}
	return what + " begin; written by `make " + p.Target + "` -->\n", what + " end -->\n"
}

// Write puts text into the part, at the end of a page that lacks it, and leaves the rest
// as it is.
func (p Part) Write(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the page: %w", err)
	}
	if err := os.WriteFile(path, []byte(p.Splice(string(old), text)), 0o644); err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	return nil
}

// Splice is what Write makes of a page.
func (p Part) Splice(old, text string) string {
	begin, end := p.marks()
	part := begin + "\n" + text + "\n" + end
	if before, rest, ok := strings.Cut(old, begin); ok {
		if _, after, ok := strings.Cut(rest, end); ok {
			return before + part + after
		}
	}
	return strings.TrimRight(old, "\n") + "\n\n" + part
}

// Duration reads 12 ms or 3.4 s.
func Duration(seconds float64) string {
	if seconds < 1 {
		return fmt.Sprintf("%.0f ms", seconds*1000)
	}
	return fmt.Sprintf("%.1f s", seconds)
}
