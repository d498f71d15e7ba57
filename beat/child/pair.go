package child

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pair is a connected pair of sockets; ours does not wait when the child does not read.
func pair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket for the child: %w", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket for the child: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "beat-control"), os.NewFile(uintptr(fds[1]), "beat-child"), nil
}

// monotonic is what Python's time.monotonic shows.
func monotonic() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, err
	}
	return time.Duration(now.Nano()), nil
}
