package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"crisper/supervisor/reaper"
)

// witness starts a child that eats more than our cgroup has, and says how it
// died, as the supervisor would. It does not return.
func witness() {
	if err := testify(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func testify() error {
	c, err := OpenCgroup("", "")
	if err != nil {
		return err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), actVariable+"=glutton")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := SetOOMScoreAdj(cmd.Process.Pid, 1000); err != nil {
		return err
	}
	before, err := c.Usage()
	if err != nil {
		return err
	}
	in.Close() // now it eats
	status, err := died(cmd.Wait())
	if err != nil {
		return err
	}
	after, err := c.Usage()
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s\n", c.Path(), Explain(status, before, after))
	return nil
}

func died(err error) (reaper.Status, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return reaper.Status{}, fmt.Errorf("the child lives on nothing: %v", err)
	}
	ws := exit.Sys().(syscall.WaitStatus)
	return reaper.Status{PID: exit.Pid(), Code: ws.ExitStatus(), Signal: ws.Signal()}, nil
}
