package options

import (
	"fmt"
	"io"
	"strings"
)

const (
	helpColumn = 34
	helpWidth  = 110
)

// WriteHelp prints rows by group, for a terminal.
func WriteHelp(w io.Writer, rows []Option) {
	for _, group := range Groups() {
		heading := false
		for _, row := range rows {
			if row.Group != group || row.Who == Refused {
				continue
			}
			if !heading {
				fmt.Fprintf(w, "\n%s:\n", group)
				heading = true
			}
			writeRow(w, row)
		}
	}
	writeRefused(w, rows)
}

func writeRow(w io.Writer, row Option) {
	left := "      --" + row.Name
	if row.Short != "" {
		left = "  -" + row.Short + ", --" + row.Name
	}
	for _, alias := range row.Aliases {
		left += ", --" + alias
	}
	if row.Metavar != "" {
		left += " " + row.Metavar
	}
	lines := wrap(helpText(row), helpWidth-helpColumn)
	if len(left) >= helpColumn-1 {
		fmt.Fprintln(w, left)
		left = ""
	}
	for _, line := range lines {
		fmt.Fprintf(w, "%-*s%s\n", helpColumn, left, line)
		left = ""
	}
}

func helpText(row Option) string {
	words := row.Help
	switch {
	case row.Who == Harmless:
		words += " Changes nothing here."
	case row.Who == Later:
		words += " No effect yet: " + row.Note + "."
	}
	if row.Default != "" {
		words += " [" + row.Default + "]"
	}
	return words
}

func writeRefused(w io.Writer, rows []Option) {
	var names []string
	for _, row := range rows {
		if row.Who == Refused {
			names = append(names, row.Spelling())
		}
	}
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(w, "\nRefused, each with its reason:\n")
	for _, line := range wrap(strings.Join(names, ", "), helpWidth-2) {
		fmt.Fprintf(w, "  %s\n", line)
	}
}

func wrap(words string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(words) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
