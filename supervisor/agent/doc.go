// Package agent carries the Python files that run inside the children
// (go:embed), unpacks them, and speaks with the zygote.
//
// # What it is
//
// The zygote is a Python process that has imported the app once, frozen its
// garbage collector, and from then on only forks: executors, which run tasks,
// and the steward, which does what Celery's parent process does and only Python
// can. All three are the files under py/crisper_agent; docs/explanation/
// fork-safety.md says what a child undoes and redoes after the fork.
//
//	Launch ──> zygote ─────────> (intermediate, leaves at once) ──fork──> child
//	   │          │                                                        │
//	   │          └── control socket: Options, Fork / Loaded, Forked       │
//	   └── adopts the child (PID 1 or subreaper) ── child's socket, page ──┘
//
// A child copies the page of whatever it writes to, and because of the reference counts
// it writes to whatever it looks at. That is most of what it costs, in CPU and in memory.
// So the zygote does before the fork what is the same in all children (zygote.prepare):
// it imports what they need after everything else, runs the way of a task, fills the
// holes in Python's memory, and collects garbage last. docs/benchmarks.md has the figures.
//
// A Recorder is a single process beside all this: it has loaded an app as a worker of
// `celery` had that is gone, and records as failed what went with that (package celery).
//
// # Authority
//
// The zygote is right about the app (Info); the kernel is right about who lives.
// A process between forks the children and leaves, so that they belong to the
// supervisor: it collects their exit statuses, and a zygote's death does not touch
// them. They ask the kernel to kill them when the supervisor dies. The process between
// shares the zygote's memory, as after vfork (single_fork.py), or is a fork itself
// where that cannot be.
//
// # Failure
//
// An app that does not load is loud: its traceback goes to stderr, FailedEvent
// has the error in one line, and the exit status is 4. A fork that fails is
// answered by ForkFailedEvent. A frame that makes no sense ends the zygote.
//
// # What it does not do
//
// It decides nothing about children (package pool) and does not read what they
// say (packages wire and native).
package agent
