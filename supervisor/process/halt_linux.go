package process

import (
	"bytes"
	"fmt"
	"os"
	"time"
)

// Halted waits until every thread of a process that was sent SIGSTOP stands still. The kernel
// tells that only to a parent, so its state is looked at, which takes microseconds
// for all but processes that hang in the kernel.
func Halted(pid int, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		still, err := standsStill(pid)
		if err != nil || still {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("cannot stop process %d within %s", pid, patience)
		}
	}
}

func standsStill(pid int) (bool, error) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	threads, err := os.ReadDir(dir)
	if err != nil {
		return false, fmt.Errorf("cannot look at process %d: %w", pid, err)
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(dir + "/" + thread.Name() + "/stat")
		if err != nil {
			continue // it has ended since
		}
		// The state follows the name, which may hold anything, parentheses too.
		at := bytes.LastIndexByte(stat, ')')
		if at < 0 || at+2 >= len(stat) || stat[at+2] != 'T' {
			return false, nil
		}
	}
	return true, nil
}
