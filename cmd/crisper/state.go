package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/signal"
	"strings"
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
worker of this user that was started last, and says which that was where several answer.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			client, err := p.newest(socket)
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
	socketFlag(cmd, &socket, "the newest that answers")
	cmd.Flags().BoolVar(&asJSON, "json", false, "JSON also on a terminal.")
	return cmd
}

func (p *program) drainCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use: "drain [--socket PATH]", DisableFlagsInUseLine: true,
		Short: "Tell a running worker to take nothing more and leave when it is done.",
		Long: `Tells a running worker to take nothing more and to leave when its last task ends, as TERM does. It returns at once;
` + "`crisper state`" + ` shows how far it is. Without --socket it speaks to the worker of this user, if there is one only.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := p.only(cmd.Context(), socket)
			if err == nil {
				err = client.Drain(context.WithoutCancel(cmd.Context()))
			}
			if err == nil {
				fmt.Fprintln(p.stdout, "draining")
			}
			return err
		},
	}
	socketFlag(cmd, &socket, "the only one that answers")
	return cmd
}

func socketFlag(cmd *cobra.Command, socket *string, otherwise string) {
	cmd.Flags().StringVar(socket, "socket", "", "Admin socket of the worker. ["+otherwise+"]")
	// In the table, too, where it belongs to the worker: shown here as well.
	_ = cmd.Flags().SetAnnotation("socket", "own", []string{"true"})
}

// newest is the worker at a socket, or the one that was started last.
func (p *program) newest(socket string) (*ops.Client, error) {
	found, err := p.find(socket)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		fmt.Fprintf(p.stderr, "crisper: %d processes of this user answer, %s was started last; --socket names another\n", len(found), found[0])
	}
	return ops.NewClient(found[0]), nil
}

// only is the worker at a socket, or the only one there is: nobody is given an order by
// accident.
func (p *program) only(ctx context.Context, socket string) (*ops.Client, error) {
	found, err := p.find(socket)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		lines := make([]string, len(found))
		for i, path := range found {
			lines[i] = "\n  --socket " + path + "  " + who(ctx, path)
		}
		return nil, usageError("%d processes of this user answer; say which one is meant:%s", len(found), strings.Join(lines, ""))
	}
	return ops.NewClient(found[0]), nil
}

// find is what --socket or the environment names, else all that answer.
func (p *program) find(socket string) ([]string, error) {
	if socket == "" {
		socket = p.getenv("CRISPER_SOCKET")
	}
	if socket != "" {
		return []string{socket}, nil
	}
	return ops.FindSockets(p.getenv)
}

// who says whose socket it is. One that is too busy to tell is shown all the same.
func who(ctx context.Context, path string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	state, err := ops.NewClient(path).State(ctx)
	if err != nil {
		return "it does not say who it is"
	}
	var facts []string // some are not known before the app is loaded
	for _, fact := range []string{state.Hostname, state.Runtime, state.App} {
		if fact != "" {
			facts = append(facts, fact)
		}
	}
	return strings.Join(append(facts, fmt.Sprintf("pid %d", state.PID), state.Phase), ", ")
}

func (p *program) printJSON(value any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
