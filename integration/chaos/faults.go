package main

import (
	"context"
	"time"
)

// fault is one row of the table.
type fault struct {
	name, title string
	recovery    string // what the recovery time of this row is
	promise     string // see row.Promise
	// brief: what is promised of early tasks has to be done in the last second of a grace,
	// which a busy machine may not give; there it is lateOnly.
	brief    bool
	needs    needs
	patience time.Duration
	// noStock says why the row makes no sense for Celery's own worker.
	noStock string
	setup   func(ctx context.Context, l *lane) error
	trial   func(ctx context.Context, l *lane) (*trial, error)
}

func faults() []fault {
	all := childFaults()
	all = append(all, processFaults()...)
	return append(all, brokerFaults()...)
}

// patience for what takes milliseconds to seconds, and for Celery's own worker, which
// looks for lost children every few seconds.
const patience = 40 * time.Second

// workerOf starts the worker that stays through all trials of a row.
func workerOf(own string, common ...string) func(context.Context, *lane) error {
	return func(ctx context.Context, l *lane) (err error) {
		l.worker, err = l.start(ctx, own, common...)
		return err
	}
}
