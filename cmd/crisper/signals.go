package main

import (
	"os"
	"os/signal"
	"syscall"
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
