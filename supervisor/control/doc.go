// Package control answers Celery's remote control. It decides what a command
// replies and what is to be done; it does nothing and asks nobody.
//
// # What it is
//
//	broadcast ──► Read ──► Mail.IsFor(node)? ──► Handle(world, mail) ──► Answer
//
// An Answer has a reply, or a question for Python whose answer is the reply, and
// the actions that follow. World is what the worker knows of itself; it is read
// only. Replies have the shape of celery/worker/control.py, and where a text of
// Celery's has Python's repr in it, it is written here too: people's scripts read it.
//
// # Who answers
//
//	from the worker's state       ping, stats, active, reserved, scheduled, revoked, query_task,
//	                              active_queues, clock, hello, and all that changes something
//	Celery's own code, in Python  conf, report, registered, memsample, memdump, objgraph, and
//	                              every command that the app has registered itself
//
// # Failure handling
//
// What Celery answers with an exception is answered with {"error": its repr}: unknown
// commands, missing arguments, refusals. A mail that cannot be read is logged and
// dropped, as its sender cannot be told.
//
// # What it deliberately does not do
//
// election: it takes part in none (replies nothing, as Celery does).
package control
