package harness

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// Busy watches how much of the machine others take while something is measured. What is
// promised in seconds is promised of a machine that has processors for us: one that is
// shared with ten others is slow, and a test that fails there says nothing.
type Busy struct {
	stop, done chan struct{}

	mu      sync.Mutex
	looks   int
	running int           // sum over the looks of what wanted a processor
	late    time.Duration // sum of what our own sleeps lasted too long
}

// look is how often it looks.
const look = 20 * time.Millisecond

// WatchBusy watches until Stretch is called.
func WatchBusy() *Busy {
	b := &Busy{stop: make(chan struct{}), done: make(chan struct{})}
	go b.watch()
	return b
}

func (b *Busy) watch() {
	defer close(b.done)
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-b.stop:
			return
		case <-ticker.C:
		}
		now := time.Now()
		b.mu.Lock()
		b.looks++
		b.running += runnable()
		b.late += max(0, now.Sub(last)-look)
		b.mu.Unlock()
		last = now
	}
}

// Stretch ends the watch and says what a bound is on the machine as it was: longer by
// the share that everybody got of the processors, and by the time that it stood still.
// On a quiet machine it is the bound.
func (b *Busy) Stretch(bound time.Duration) time.Duration {
	close(b.stop)
	<-b.done
	b.mu.Lock()
	defer b.mu.Unlock()
	return stretch(bound, b.looks, b.running, runtime.NumCPU(), b.late)
}

func stretch(bound time.Duration, looks, running, processors int, late time.Duration) time.Duration {
	share := 1.0
	if looks > 0 {
		share = max(share, float64(running)/float64(looks*processors))
	}
	return time.Duration(float64(bound)*share) + late
}

// runnable is how many processes and threads run or want to; 0 where it is not known.
func runnable() int {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte("\nprocs_running "))
	number, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _ := strconv.Atoi(string(number)) // 0 as well
	return n
}
