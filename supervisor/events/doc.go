// Package events decides which of Celery's events a worker sends, in which
// order and with which fields. It sends none.
//
// # What it is
//
// A Sender, owned by one goroutine. What happens to tasks is told to it as it
// happens; Collect returns messages that are ready to be published.
//
//	task event ──► wanted? ──► encoded at the end of the open list ──┐
//	                                 full, or 20 ms old ─────────────┼──► Collect
//	worker event ──► closes the open list, goes behind it ───────────┘
//
// Events of tasks leave as lists (task.multi), as Celery's buffered dispatcher
// sends them; events of the worker alone (worker.heartbeat). A list is never sent
// before one that was begun earlier, so a monitor sees each task received, started
// and ended in this order, with clocks and timestamps that never fall.
//
// # What is wanted
//
//	worker-online, -heartbeat, -offline   unless --without-heartbeat
//	task-*                                with -E (task_send_events), or after enable_events,
//	                                      of tasks whose send_events is true
//
// # Authority
//
// The Clock is a Lamport clock, shared with remote control: it moves forward with
// each event that is sent and each message that is received, and it is ahead of
// every clock that has been seen.
//
// # Failure handling
//
// While the broker is away events wait, up to Backlog bytes; then the oldest lists
// are dropped, and counted. Heartbeats are not kept: an old one says nothing.
//
// # What it deliberately does not do
//
// It reads no messages from other workers (gossip): that has no effect on tasks,
// and costs every worker a message for every heartbeat of every other.
package events
