// Package hang decides whether a Celery worker that is connected has stopped taking
// tasks. It asks nobody and ends nobody.
//
// # What it is
//
// A plain value for one goroutine. It is told what agents say of their workers and
// what waits at the broker, and names workers that hang:
//
//	found = w.Measured(now, ready, found[:0])
//
// # What hanging is
//
// For all of Limit, and for Late more because takings are told late, at every measurement: something waited in a queue that the worker
// consumes, the worker had room for it, and it took nothing. A worker that waits at
// the broker takes what comes there within milliseconds, and brokers serve those who
// wait in turn. That covers the worker whose loop turns and whose connection is not
// listened to any more (after a broken connection to Redis), and the one whose loop
// stands still.
//
// # Authority
//
// The broker says what waits. The agent says whether there is room: it asks the
// transport what the transport asks itself. An agent that has not said anything for
// Silence is one whose worker's loop stands still: then a worker with a pool of
// processes is taken to have room, for nothing that its tasks do can stop its loop;
// one whose tasks share a process with the loop is not, as long as a task runs.
//
// # Verdicts
//
//	Deaf   the loop stands still: the worker will not react to anything
//	else   it turns: told to leave, it finishes what it runs
//
// # What begins anew
//
// A task taken, no room, nothing waiting, a broker that cannot be asked, a pause
// between two measurements that is longer than Limit/2 (we did not run either): each
// begins Limit anew. So does a verdict.
//
// # What it deliberately does not do
//
// It does not judge where the backlog is not known (RabbitMQ and others), nor a
// worker whose transport does not say whether there is room, nor one on its way out.
package hang
