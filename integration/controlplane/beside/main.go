// Command beside runs a command beside a control plane of its own:
//
//	go run ./integration/controlplane/beside -- go test -tags integration ./beat/lease/...
//
// The command finds the administrator's kubeconfig in CRISPER_TEST_KUBECONFIG. The
// control plane ends with it, and its exit code is the command's; 1 when there was
// none.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"crisper/integration/controlplane"
)

func main() {
	code, err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "beside:", err)
	}
	os.Exit(code)
}

func run(args []string, stdout, stderr io.Writer) (int, error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 2, errors.New("no command is given: beside -- COMMAND ARGS")
	}
	if _, err := exec.LookPath(args[0]); err != nil {
		return 1, fmt.Errorf("cannot run %s: %w", args[0], err)
	}
	// Ctrl-C and TERM end the command; we stay until it has, to clear up behind it.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := controlplane.Make(ctx, controlplane.Options{})
	if err != nil {
		return 1, err
	}
	defer c.Remove()
	admin, err := c.User("admin", "system:masters")
	if err != nil {
		return 1, err
	}
	kubeconfig, err := admin.Kubeconfig()
	if err != nil {
		return 1, err
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	cmd.Env = append(os.Environ(), "CRISPER_TEST_KUBECONFIG="+kubeconfig)
	err = cmd.Run()
	if ended := new(exec.ExitError); errors.As(err, &ended) {
		return max(1, ended.ExitCode()), nil // -1: by a signal
	}
	if err != nil {
		return 1, fmt.Errorf("cannot run %s: %w", args[0], err)
	}
	return 0, nil
}
