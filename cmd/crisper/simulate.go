package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	poolscript "crisper/supervisor/pool/script"
)

func (p *program) simulateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "simulate FILE", DisableFlagsInUseLine: true,
		Short: "Play a pool scenario and print what the pool decides.",
		Long: `Plays a script against the pool's decisions, without processes and without waiting, and prints the transitions and
actions. FILE is a script as in supervisor/pool/testdata (a - reads stdin).`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("`crisper simulate` needs one script file, or - for stdin")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			script, err := openScript(args[0])
			if err != nil {
				return fmt.Errorf("cannot open the script: %w", err)
			}
			defer script.Close()
			return poolscript.Run(script, p.stdout)
		},
	}
}

func openScript(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	return os.Open(path)
}
