package main

import (
	"context"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// counterSlots is the number of 64-bit counters in the file; see app/benchapp.py.
const counterSlots = 1 << 16

// counter is the memory in which tasks count themselves, shared by all processes.
type counter struct {
	file *os.File
	data []byte
}

func newCounter(path string) (*counter, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("cannot create the counter: %w", err)
	}
	if err := file.Truncate(counterSlots * 8); err != nil {
		return nil, fmt.Errorf("cannot size the counter: %w", err)
	}
	data, err := unix.Mmap(int(file.Fd()), 0, counterSlots*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("cannot map the counter: %w", err)
	}
	return &counter{file, data}, nil
}

func (c *counter) close() {
	unix.Munmap(c.data)
	c.file.Close()
}

// reset counts from zero. Only while no task runs.
func (c *counter) reset() { clear(c.data) }

// sum is the number of tasks that have run. The writers do not wait for us: a
// number may be a moment old, never torn (aligned 64-bit words).
func (c *counter) sum() int {
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&c.data[0])), counterSlots)
	var n uint64
	for i := range words {
		n += words[i]
	}
	return int(n)
}

// begun waits for the first task, and says how many had run when it was seen.
func (c *counter) begun(ctx context.Context) (int, error) {
	err := c.until(ctx, 1)
	return c.sum(), err
}

// until waits until n tasks have run.
func (c *counter) until(ctx context.Context, n int) error {
	// The tasks announce nothing, or they would be measured telling; 2 ms against
	// seconds of work, and 1 % of a core.
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		done := c.sum()
		if done >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d tasks ran: %w", done, n, ctx.Err())
		case <-tick.C:
		}
	}
}
