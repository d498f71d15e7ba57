package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

func (p *program) simulateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "simulate FILE", DisableFlagsInUseLine: true,
		Short: "Play a pool scenario and print what the pool decides.",
		Long: `Plays a script against the pool's decisions, without processes and without waiting, and prints the transitions and
actions. FILE is a script as in supervisor/pool/testdata; - reads it from stdin.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("`crisper simulate` needs one script file, or - for stdin")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := readScript(args[0])
			if err != nil {
				return fmt.Errorf("cannot read the script: %w", err)
			}
			return simulate(text, p.stdout)
		},
	}
}

func readScript(path string) (string, error) {
	if path == "-" {
		text, err := io.ReadAll(os.Stdin)
		return string(text), err
	}
	text, err := os.ReadFile(path)
	return string(text), err
}
