package main

import (
	"syscall"
	"testing"
)

func TestSignalsWithoutAMeaningDoNotEndTheWorker(t *testing.T) {
	signals, stop := listenSignals()
	defer stop()
	for _, sig := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGPIPE, syscall.SIGHUP} {
		if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-signals; got != syscall.SIGHUP {
		t.Errorf("the worker was told of %v", got)
	}
}
