package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/spf13/cobra"

	"crisper/cmd/crisper/internal/options"
	"crisper/cmd/crisper/sample"
)

func (p *program) devCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dev [-A APP] [OPTIONS OF worker]", DisableFlagsInUseLine: true,
		Short: "Everything on a laptop: an embedded broker and a worker.",
		Long: `Starts an embedded broker on a free loopback port and a worker that consumes from it. With -A it runs your app; BROKER_URL
of what sends the tasks is printed. Without -A it runs a sample app whose tasks arrive, run, crash, leak and get recycled
before your eyes. It takes the options of ` + "`crisper worker`" + `. Nothing is kept when it ends.`,
		Annotations: map[string]string{rowsOf: "worker", takesUserOptions: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.dev(cmd, args)
		},
	}
	addWorkerFlags(cmd)
	return cmd
}

func (p *program) dev(cmd *cobra.Command, args []string) error {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return fmt.Errorf("cannot start the embedded broker: %w", err)
	}
	defer server.Close()
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	go keepTime(ctx, server)

	url := "redis://" + server.Addr() + "/0"
	prefer := preferences(url, freeAddress("127.0.0.1:9810"))
	given, _ := options.Resolve(cmd.Flags(), options.All(), p.getenv)
	sampled := given["app"].Text == ""
	if sampled {
		dir, err := unpackSample()
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		prefer = append(prefer, samplePreferences(dir)...)
	}
	settings, plan, err := p.plan(cmd, args, prefer...)
	if err != nil {
		return err
	}
	p.introduce(plan, url, sampled)
	if sampled {
		wait := p.sendSamples(ctx, plan, url)
		defer wait()
		defer stop() // before wait: the sender has to end
	}
	return p.work(ctx, settings, plan)
}

// keepTime lets keys expire: miniredis has a clock that only moves when told.
func keepTime(ctx context.Context, server *miniredis.Miniredis) {
	tick := time.NewTicker(time.Second) // the clock itself
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			server.FastForward(time.Second)
		}
	}
}

func preferences(url, http string) []preference {
	const why = "dev"
	return []preference{
		{"broker", url, why}, {"result-backend", url, why}, {"http", http, why}, {"loglevel", "INFO", why},
		{"termination-log", "off", why},
	}
}

// samplePreferences make the sample worth watching.
func samplePreferences(dir string) []preference {
	const why = "dev"
	return []preference{
		{"app", "sample", why}, {"workdir", dir, why}, {"concurrency", "4", why},
		{"max-tasks-per-child", "40", why}, {"max-memory-per-child", "40Mi", why}, {"soft-time-limit", "4", why}, {"time-limit", "6", why},
	}
}

// freeAddress is wanted if it can be had, else a port that the kernel chooses.
func freeAddress(wanted string) string {
	for _, address := range []string{wanted, "127.0.0.1:0"} {
		listener, err := net.Listen("tcp", address)
		if err == nil {
			address = listener.Addr().String()
			_ = listener.Close()
			return address
		}
	}
	return wanted // the worker says what is wrong with it
}

func unpackSample() (string, error) {
	dir, err := os.MkdirTemp("", "crisper-sample-")
	if err == nil {
		err = os.CopyFS(dir, sample.Files)
	}
	if err != nil {
		return "", fmt.Errorf("cannot unpack the sample app: %w", err)
	}
	return dir, nil
}

func (p *program) introduce(plan options.Plan, url string, sampled bool) {
	fmt.Fprintf(p.stdout, "broker   %s   (embedded; for what sends tasks: BROKER_URL=%s)\n", url, url)
	if plan.Config.HTTP != "" {
		fmt.Fprintf(p.stdout, "state    http://%s/state   metrics http://%s/metrics\n", plan.Config.HTTP, plan.Config.HTTP)
	}
	fmt.Fprintf(p.stdout, "look in  crisper state --socket %s\n", plan.Config.Socket)
	if sampled {
		fmt.Fprintf(p.stdout, "sample   %s: tasks that add, sleep, fail, crash and leak; Ctrl-C ends it\n", plan.Workdir)
	}
}

// sendSamples runs the sample's sender until ctx ends; the function it returns
// waits for its end.
func (p *program) sendSamples(ctx context.Context, plan options.Plan, url string) func() {
	python, err := findPython(plan.Config.Python)
	if err != nil {
		return func() {} // the worker meets the same problem and tells it
	}
	sender := exec.CommandContext(ctx, python, "send.py")
	sender.Dir = plan.Workdir
	sender.Env = append(os.Environ(), "CELERY_BROKER_URL="+url, "CELERY_RESULT_BACKEND="+url)
	sender.Stderr = p.stderr
	sender.WaitDelay = time.Second
	if err := sender.Start(); err != nil {
		fmt.Fprintf(p.stderr, "crisper: cannot start the sample's sender: %v\n", err)
		return func() {}
	}
	return func() {
		if err := sender.Wait(); err != nil && ctx.Err() == nil {
			fmt.Fprintf(p.stderr, "crisper: the sample's sender ended: %v\n", err)
		}
	}
}
