// Package lifecycle plays what can happen to a whole Celery worker that Crisper runs,
// with real processes: `crisper worker --runtime=celery` and `crisper exec -- celery`.
//
//	go test -tags integration ./integration/lifecycle                # a covering choice, minutes
//	make lifecycle                                                   # every cell, the better part of an hour
//	go test -tags integration -v -run 'TestLifecycle/OOM.*,gevent' ./integration/lifecycle
//
// # The matrix
//
// An event, what the worker has in hand when it comes, the transport, Celery's pool,
// and which command of ours: cover_test.go. A cell that takes part in the choice is
// the same cell in the whole matrix.
//
// # Authority
//
// What ran is in the journal that the tasks write. What is still to be done is at the
// broker: its lists, its queue, its files are read when everybody has left. Who
// lives is told by /proc: every process that descends from a worker carries a mark in
// its environment.
//
// # What it deliberately does not do
//
// It does not count what is started twice after a process was killed: an
// acknowledgment may be on its way then. integration/chaos counts that.
package lifecycle
