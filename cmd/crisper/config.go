package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
)

func (p *program) configCommand() *cobra.Command {
	config := &cobra.Command{
		Use: "config", DisableFlagsInUseLine: true, Short: "Show what a worker's options and environment come to.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("there is no command \"config %s\"; `crisper config check` is the one", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	check := &cobra.Command{
		Use: "check [OPTIONS OF worker]", DisableFlagsInUseLine: true,
		Short: "Print the effective values and where each came from, and all mistakes.",
		Long: `Prints the value of every option of ` + "`crisper worker`" + ` and where it came from, and all mistakes at once.
"the app" means that the app's configuration decides. Exit code 2 if a worker would refuse to start.`,
		Annotations: map[string]string{rowsOf: "worker", takesUserOptions: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, plan, err := p.plan(cmd, args)
			err = errors.Join(err, requireApp(settings, p.getenv))
			p.printSettings(settings, plan)
			if err != nil {
				return exitError{supervisor.ExitUsage, err}
			}
			return nil
		},
	}
	addWorkerFlags(check)
	config.AddCommand(check)
	return config
}

func (p *program) printSettings(settings options.Settings, plan options.Plan) {
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "OPTION\tVALUE\tFROM")
	for _, row := range options.All() {
		setting := settings[row.Name]
		value, source := options.Redact(setting.Text), setting.Source
		switch {
		case setting.Given || row.Default != "":
		case row.Name == "socket":
			value = plan.Config.Socket
		case row.Kind == options.Flag:
			value = "off"
		case row.Own:
			value = "-"
		case row.Who == options.Python || row.Who == options.Both:
			value, source = "-", "the app"
		default:
			value = "-"
		}
		fmt.Fprintf(table, "--%s\t%s\t%s\n", row.Name, value, source)
	}
	_ = table.Flush()
	for _, extra := range plan.Config.Agent.Extra {
		fmt.Fprintf(p.stdout, "for the app: %s\n", options.Redact(extra))
	}
	for _, warning := range plan.Warnings {
		fmt.Fprintf(p.stdout, "warning: %s\n", warning)
	}
}
