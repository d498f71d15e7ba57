package main

import (
	"github.com/spf13/cobra"

	beatops "crisper/beat/ops"
	"crisper/cmd/crisper/internal/compat"
	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor/ops"
)

// referenceCommand writes the generated pages of docs/reference.
func (p *program) referenceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reference PAGE", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			switch args[0] {
			case "configuration":
				return options.WriteReference(p.stdout)
			case "compatibility":
				return compat.WriteReference(p.stdout)
			case "metrics":
				return ops.WriteReference(p.stdout)
			case "beat-metrics":
				return beatops.WriteReference(p.stdout)
			}
			return usageError("the generated pages are configuration, compatibility, metrics and beat-metrics, not %q", args[0])
		},
	}
}
