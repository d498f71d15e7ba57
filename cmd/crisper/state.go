package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor/ops"
)

func (p *program) stateCommand() *cobra.Command {
	var socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "state [--socket PATH]", DisableFlagsInUseLine: true,
		Short: "Show the live state of a running worker.",
		Long: `Shows the live state of a running worker: a table on a terminal, JSON otherwise. Without --socket it asks the
worker of this user that was started last.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			client, err := p.client(socket)
			if err != nil {
				return err
			}
			state, err := client.State(ctx)
			if err != nil {
				return err
			}
			if asJSON || !isTerminal(p.stdout) {
				return p.printJSON(state)
			}
			settings, _ := options.Resolve(cmd.Flags(), options.Global(), p.getenv) // only colour matters here
			color := !settings.On("no-color")
			if state.Runtime == "beat" {
				beat, err := readBeat(state)
				if err == nil {
					writeStatus(p.stdout, statusOf(beat), time.Now(), painter(color))
				}
				return err
			}
			writeState(p.stdout, state, color)
			return nil
		},
	}
	socketFlag(cmd, &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "JSON also on a terminal.")
	return cmd
}

func (p *program) drainCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use: "drain [--socket PATH]", DisableFlagsInUseLine: true,
		Short: "Tell a running worker to take nothing more and leave when it is done.",
		Long: `Tells a running worker to take nothing more and to leave when its last task ends, as TERM does. It returns at once;
` + "`crisper state`" + ` shows how far it is. Without --socket it speaks to the worker of this user that was started last.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := p.client(socket)
			if err == nil {
				err = client.Drain(context.WithoutCancel(cmd.Context()))
			}
			if err == nil {
				fmt.Fprintln(p.stdout, "draining")
			}
			return err
		},
	}
	socketFlag(cmd, &socket)
	return cmd
}

func socketFlag(cmd *cobra.Command, socket *string) {
	cmd.Flags().StringVar(socket, "socket", "", "Admin socket of the worker. [the newest that answers]")
	// In the table, too, where it belongs to the worker: shown here as well.
	_ = cmd.Flags().SetAnnotation("socket", "own", []string{"true"})
}

func (p *program) client(socket string) (*ops.Client, error) {
	if socket == "" {
		socket = p.getenv("CRISPER_SOCKET")
	}
	if socket == "" {
		found, err := ops.FindSocket(p.getenv)
		if err != nil {
			return nil, err
		}
		socket = found
	}
	return ops.NewClient(socket), nil
}

func (p *program) printJSON(value any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
