package brokertest

import "time"

// WatchStalls watches for how long at a time this process does not get to run, and
// tells the longest when it is asked.
func WatchStalls() (longest func() time.Duration) {
	const beat = 10 * time.Millisecond
	stop, told := make(chan struct{}), make(chan time.Duration)
	go func() {
		ticker := time.NewTicker(beat)
		defer ticker.Stop()
		most := time.Duration(0)
		for last := time.Now(); ; {
			select {
			case <-stop:
				told <- most
				return
			case now := <-ticker.C:
				most = max(most, time.Since(last)-beat)
				last = now
			}
		}
	}()
	return func() time.Duration { close(stop); return <-told }
}

// Bound is for what is promised in seconds: it gives what is to be asserted on this
// machine, strict where this process always got to run, generous where it did not.
func Bound(promised time.Duration) func() time.Duration {
	longest := WatchStalls()
	return func() time.Duration {
		if stalled := longest(); stalled > 20*time.Millisecond {
			return 5*promised + 2*stalled
		}
		return promised
	}
}
