package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"crisper/cmd/crisper/internal/options"
)

// rowsOf marks a command that takes rows of the table; its help shows them.
const rowsOf = "rows"

// help prints the page of one command.
func (p *program) help(cmd *cobra.Command, _ []string) {
	w := p.stdout
	if cmd.Long != "" {
		fmt.Fprintf(w, "%s\n\n", strings.TrimSpace(cmd.Long))
	} else {
		fmt.Fprintf(w, "%s\n\n", cmd.Short)
	}
	if cmd.HasAvailableSubCommands() && cmd.Annotations[rowsOf] == "" {
		fmt.Fprintf(w, "Usage: %s COMMAND [OPTIONS]\n\nCommands:\n", cmd.CommandPath())
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(w, "  %-10s %s\n", sub.Name(), sub.Short)
			}
		}
		fmt.Fprintf(w, "\n`%s COMMAND --help` tells more about each.\n", cmd.CommandPath())
		return
	}
	fmt.Fprintf(w, "Usage: %s\n", cmd.UseLine())
	for _, sub := range cmd.Commands() {
		fmt.Fprintf(w, "       %s\n", sub.UseLine())
	}
	p.helpOwn(cmd)
	if rows, ok := p.rows(cmd); ok {
		options.WriteHelp(w, rows)
	}
}

// helpOwn prints the flags that are not in the table.
func (p *program) helpOwn(cmd *cobra.Command) {
	inTable := map[string]bool{}
	for _, row := range append(append(options.All(), options.ExecOnly()...), options.BeatOnly()...) {
		inTable[row.Name] = true
	}
	heading := "\nOptions:\n"
	cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
		if flag.Name == "help" || inTable[flag.Name] && flag.Annotations == nil {
			return
		}
		fmt.Fprint(p.stdout, heading)
		heading = ""
		fmt.Fprintf(p.stdout, "      --%-26s%s\n", flag.Name, flag.Usage)
	})
}

func (p *program) rows(cmd *cobra.Command) ([]options.Option, bool) {
	switch cmd.Annotations[rowsOf] {
	case "worker":
		return options.All(), true
	case "exec":
		return options.Exec(), true
	case "beat":
		return options.Beat(), true
	case "preview":
		return append(options.Global(), options.Preview()...), true
	case "hints":
		return append(options.Global(), hintsRows()...), true
	}
	return nil, false
}
