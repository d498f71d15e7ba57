package main

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// listenSignals returns the signals that a worker understands.
func listenSignals() (<-chan os.Signal, func()) {
	// Room for each once and a hurried second of some: the reader is the loop's
	// feeder, which is never slow, and signals of one kind may coalesce.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1)
	// Caught and dropped, because their default ends a Go process: USR2 means
	// nothing to a Celery worker, and PIPE comes when a log's reader has left.
	// Not ignored: that would be inherited by the children.
	dropped := make(chan os.Signal, 1)
	signal.Notify(dropped, syscall.SIGUSR2, syscall.SIGPIPE)
	return signals, func() { signal.Stop(signals); signal.Stop(dropped) }
}

// shutdown turns the signals of the process into those that a runtime gets, as
// REMAP_SIGTERM and worker_soft_shutdown_timeout have it. Celery: apps/worker.py,
// on_cold_shutdown (5.7).
type shutdown struct {
	remap bool // REMAP_SIGTERM=SIGQUIT
	// interrupted: an INT came, so that the next one means a cold shutdown. leaving:
	// the runtime was told to leave. softly: the time of a soft shutdown runs.
	interrupted, leaving, softly bool
	// last is the signal that counted last, and when it came.
	last   os.Signal
	lastAt time.Time
}

// echo is how soon the same signal again is the same wish: a shell, an init or a
// wrapper passes on what the process group got as well. Nobody asks twice so quickly.
// Celery: counts each (apps/worker.py, 5.7).
const echo = 100 * time.Millisecond

// step returns what the runtime gets for a signal that came now, if anything. soft
// tells the caller to send a QUIT when the time is over.
func (s *shutdown) step(now time.Time, sig os.Signal, timeout time.Duration) (out os.Signal, soft bool) {
	if s.echoes(now, sig) {
		return nil, false
	}
	s.last, s.lastAt = sig, now
	cold := sig == syscall.SIGQUIT || sig == syscall.SIGTERM && s.remap || sig == syscall.SIGINT && s.interrupted
	warm := sig == syscall.SIGTERM || sig == syscall.SIGINT
	leaving := s.leaving
	s.interrupted = s.interrupted || sig == syscall.SIGINT
	s.leaving = leaving || warm || cold
	switch {
	case !cold:
		return sig, false
	case timeout <= 0 || s.softly:
		return syscall.SIGQUIT, false
	}
	s.softly = true
	if leaving {
		return nil, true // a second TERM would hurry
	}
	// Celery: sleeps for the time. A warm shutdown lets go of what has not begun, and
	// ends with the last task.
	return syscall.SIGTERM, true
}

// echoes tells whether a signal is the one before, delivered once more. From the one
// that counted: who keeps a key pressed is heard ten times a second.
func (s *shutdown) echoes(now time.Time, sig os.Signal) bool {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
		return sig == s.last && now.Sub(s.lastAt) < echo
	}
	return false
}

// relay passes signals on until stop is called. timeout is that of a soft
// shutdown; it is known when the app has been loaded.
func relay(in <-chan os.Signal, remap bool, timeout *atomic.Int64, log *zap.Logger) (out <-chan os.Signal, stop func()) {
	// The reader is the loop's feeder, which is never slow; 16 as the signals' own.
	passed, quit := make(chan os.Signal, 16), make(chan struct{})
	pass := func(sig os.Signal) {
		if sig == nil {
			return
		}
		select {
		case passed <- sig:
		case <-quit:
		}
	}
	go func() {
		state := shutdown{remap: remap}
		var over <-chan time.Time
		for {
			select {
			case <-quit:
				return
			case sig := <-in:
				wait := time.Duration(timeout.Load())
				sig, soft := state.step(time.Now(), sig, wait)
				if soft {
					log.Warn("Initiating Soft Shutdown, terminating in " + wait.String())
					over = time.After(wait)
				}
				pass(sig)
			case <-over:
				pass(syscall.SIGQUIT)
			}
		}
	}()
	return passed, func() { close(quit) }
}
