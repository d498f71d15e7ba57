package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"crisper/broker"
	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
	"crisper/supervisor/agent"
	"crisper/supervisor/ops"
)

// hintsRows are the options of a worker that say which queues it would consume.
func hintsRows() []options.Option {
	wanted := map[string]bool{"queues": true, "exclude-queues": true, "include": true, "python": true}
	var rows []options.Option
	for _, row := range options.All() {
		if wanted[row.Name] {
			rows = append(rows, row)
		}
	}
	return rows
}

func (p *program) hintsCommand() *cobra.Command {
	var once bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "hints --once -A APP [OPTIONS]", DisableFlagsInUseLine: true,
		Short: "Print the backlog of an app's queues as JSON.",
		Long: `Prints the backlog of the queues that a worker with the same options would consume:

  {"queues": {"celery": {"ready": 7, "unacked": 2, "scheduled": 1, "oldest_age_seconds": 3.2}}}

ready waits in the queue (all priorities), unacked was taken by some worker and is due, scheduled was taken and waits for its
ETA. When the broker cannot be asked there are no figures, one sentence on stderr and exit code 5: an autoscaler must not
take silence for an empty queue.`,
		Annotations: map[string]string{rowsOf: "hints"},
		Args:        noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !once {
				return usageError("`crisper hints` prints figures once and needs --once")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return p.hints(ctx, cmd, timeout)
		},
	}
	options.Add(cmd.Flags(), hintsRows())
	cmd.Flags().BoolVar(&once, "once", false, "Print once and leave (needed).")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "How long the broker may take to answer. [10s]")
	return cmd
}

func (p *program) hints(ctx context.Context, cmd *cobra.Command, timeout time.Duration) error {
	settings, problems := options.Resolve(cmd.Flags(), options.All(), p.getenv)
	plan, err := options.Make(settings, nil, nil, world(p.getenv))
	if err := errors.Join(append(problems, err)...); err != nil {
		return exitError{supervisor.ExitUsage, err}
	}
	if err := requireApp(settings, p.getenv); err != nil {
		return err
	}
	plan.Config.Agent.Only = "info"
	info, err := p.loadInfo(ctx, plan.Config.Python, plan.Config.Agent, p.stderr)
	if err != nil {
		return coded(supervisor.ExitApp, err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	backlogs, err := p.measure(ctx, info)
	if err != nil {
		return coded(supervisor.ExitBroker, err)
	}
	return p.printJSON(map[string]any{"queues": queuesOf(backlogs)})
}

func queuesOf(backlogs map[string]broker.Backlog) map[string]ops.Queue {
	queues := map[string]ops.Queue{}
	for name, b := range backlogs {
		queues[name] = ops.Queue{Ready: b.Ready, Unacked: b.Unacked, Scheduled: b.Scheduled, OldestAgeSeconds: b.OldestAge.Seconds()}
	}
	return queues
}

// measure connects, asks once and leaves.
func (p *program) measure(ctx context.Context, info agent.Info) (backlogs map[string]broker.Backlog, err error) {
	consumer, err := p.openBroker(info, fmt.Sprintf("hints-%d-%d", os.Getpid(), time.Now().UnixNano()), zap.NewNop())
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1) // one result, also when we no longer wait for it
	go func() { ended <- consumer.Run(running) }()
	connected := make(chan struct{})
	problem := make(chan error, 1) // the newest; replaced while nobody reads it
	go watch(consumer.Events(), connected, problem)
	defer func() {
		if err == nil {
			// What the broker cannot be told ends by itself: a presence lives for seconds.
			_ = consumer.Close(ctx)
		}
		stop()
		<-ended
	}()
	select {
	case <-connected:
		return consumer.Backlog(ctx)
	case cause := <-ended:
		ended <- nil
		return nil, fmt.Errorf("cannot ask the broker: %w", orUnavailable(cause))
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot ask the broker in time: %w", orUnavailable(newest(problem)))
	}
}

func watch(events <-chan broker.Event, connected chan<- struct{}, problem chan error) {
	seen := false
	for event := range events {
		switch e := event.(type) {
		case broker.Connected:
			if !seen {
				close(connected)
				seen = true
			}
		case broker.Disconnected:
			newest(problem)
			problem <- e.Err
		}
	}
}

func newest(problem chan error) error {
	select {
	case err := <-problem:
		return err
	default:
		return nil
	}
}

func orUnavailable(err error) error {
	if err == nil {
		return broker.ErrUnavailable
	}
	return err
}
