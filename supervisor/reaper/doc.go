// Package reaper collects exit statuses when we are PID 1 or a subreaper,
// without stealing those of os/exec.
//
// # What it is
//
// PID 1 inherits every process whose parent died and must collect its exit
// status, or it stays as a zombie. os/exec collects the statuses of its own
// commands, and a blanket wait4(-1) takes them away from it: cmd.Wait then fails
// with "no child processes" and the exit code is lost. The Reaper therefore
// looks at an ended child first without collecting it (waitid with WNOWAIT), asks
// whose it is, and collects only what is not a command's, by its number.
//
// Executors are forked by a process that the zygote makes and that leaves at once,
// so that they become our children by adoption; they are no exec.Cmd of ours, and Watch is how one learns of
// their end.
//
// # Whose a process is
//
//	  Start                          Watch
//	    │                              │
//	    ▼                              ▼
//	 owned                          watched
//	    │ its Wait returns             │ reaped by us
//	    ▼                              ▼
//	forgotten ◄──────────────────── told, once
//	    ▲                              ▲
//	    │ a minute, or 1024 more       │ Watch
//	    │ (counted: Orphans)           │
//	    └───────── unclaimed ──────────┘
//	                   ▲
//	                   │ reaped by us
//	                unknown (adopted, nobody has asked yet)
//
// # Authority
//
// The kernel alone says that a process ended. That the zygote reports a birth
// says nothing of whether the process still lives: its status may be here
// already, and is kept for the Watch that follows.
//
// # Invariants
//
//   - Forking by Start, reaping, and sending a signal happen under one lock. So a
//     command is known before its end can be seen, and Signal never reaches a
//     stranger that was given the number of a process that had ended: as long as
//     a watched process has not been reaped here, the kernel keeps its number.
//   - Each function given to Watch is called once, by the goroutine of Run, and
//     never under the lock.
//   - A status is never collected twice, and never of a process that is owned.
//   - A kept status belongs to the last process of its number: if that number is
//     a living child's when Watch is called, the kept status is an orphan's.
//
// # How it wakes up
//
// SIGCHLD, and nothing periodic. The first look comes after the signal is asked
// for, so that what ended earlier is not missed. The kernel merges signals and
// shows always the same ended child first: each look goes on until nothing is
// left. When that first child is a command whose owner has not come to Wait yet,
// the children behind it are asked one by one, and the return of Wait causes one
// more look.
//
// # Failures
//
// An exec.Cmd started elsewhere than with Start loses its status to us: every
// command of the program is started here. A watched process that is not our
// child (we are neither PID 1 nor a subreaper, and its parent collects it) cannot
// be waited for; if it is gone already when Watch is called, its status is told
// as Unknown. A function that blocks stops all reaping.
//
// # What it deliberately does not do
//
// It starts nothing again, knows nothing of slots, and keeps no list of who is
// alive for others. It uses no pidfd: one lock gives the same guarantee on every
// kernel. Outside Linux there is no subreaper; the watched are then asked ten
// times a second, and of a process that is not our child only the end is known.
package reaper
