// Package app is the Python side of beat: one process, the timekeeper, that has
// loaded the app as `celery beat` does and answers for it.
//
// # What it is
//
//	Start ──> timekeeper   imports the app, reads its entries through Celery's own
//	  │            │        Scheduler, makes their messages against a transport that
//	  │            │        keeps what is published, and then answers
//	  │            └── control socket: Options, Request / Loaded, Entries, Answer
//	  └── Info, Entries with their blueprints
//
// It has no connection to the broker and needs none. A reload is a new timekeeper
// whose entries are compared with the old one's; nothing in Python is state.
//
// # Authority
//
// Celery is right about what an entry is, where its message goes and what is in it.
// Python decides whether a message can be a blueprint: only Celery's own code may
// take part in making it, no signal receiver, no patch, no lazy argument, no custom
// router or apply_async; and it is made twice, with other ids and another time, and
// must be the same but for those. Everything else is rendered for each tick, through
// the app's apply_entry as it is then (Sentry's check-ins are sent there).
//
// # Leading
//
// Announce sends beat_init, once in the life of the process, when the replica begins
// to lead. What its receivers change (Sentry is often set up there) is read again.
//
// # Failure
//
// An app that does not load is loud: its traceback is on stderr, Start returns a
// *LoadError. An entry that Celery refuses carries its error and the others run. A
// frame that makes no sense ends the timekeeper; then Done is closed and every call
// returns ErrGone. It dies with us: its socket ends, and the kernel is told.
//
// # What it does not do
//
// It does not run a custom scheduler class (Info.Scheduler names it): `celery beat`
// does, as a child of the leader. It does not publish, and it has no part in
// deciding when an entry is due but for the schedules that only Python knows (Ask).
// What celery beat would do beside publishing is left out, by name, in Info.Needs:
// tasks run on the spot (task_always_eager), task-sent events (task_send_sent_event),
// brokers that are neither Redis nor AMQP.
package app
