// Package command decides what happens to one command that runs as a whole under
// PID 1: which signal it gets and when, how long it may take to leave, and what
// becomes of what it leaves behind. It does none of it.
//
// # What it is
//
// A plain value owned by one goroutine (package runner has it). Events go in,
// actions come out:
//
//	acts = m.Step(now, event, acts[:0])   something happened
//	acts = m.Tick(now, acts[:0])          NextWake has come
//
// # Authority
//
// The kernel says that the command has ended (Exited) and which of its
// descendants live (Swept). That a signal was sent says nothing about either.
// The exit status is the command's own; the one exception is below.
//
// # States
//
//	Waiting  ─┬─ opened ─────────────────────────────► Starting
//	          └─ TERM, INT, QUIT ────────────────────► Over       128+n, nothing was started
//	Starting ─┬─ started ────────────────────────────► Ready
//	          └─ cannot be started ──────────────────► Over       126, 127
//	Ready    ─┬─ TERM, INT, QUIT, drain, memory ─────► Draining
//	          ├─ memory of the pod is out ───────────► Killing
//	          └─ exited ─────────────────────────────► Sweeping
//	Draining ─┬─ grace is over, third TERM ──────────► Killing
//	          └─ exited ─────────────────────────────► Sweeping
//	Killing  ─┬─ exited ─────────────────────────────► Sweeping
//	          └─ cannot be killed ───────────────────► Over       137
//	Sweeping ─── nothing is left, or not to be ended ► Over       the command's status
//
// # Signals
//
//	TERM     first: not ready any more; after PreStopDelay the command gets StopSignal.
//	         Again within the delay: StopSignal now. Again after it: StopSignal once
//	         more and KILL after CutoffGrace. Again: KILL.
//	INT,QUIT passed on as they are, each time; the first begins the grace as TERM does
//	others   passed on as they are
//
// What comes before the command exists is kept and passed on in order, but for
// TERM, INT and QUIT before it was even asked for: then it is not started. A
// signal goes to the command's own process and never to its group: whoever sends
// to all gets tasks cut off that a parent wanted to finish.
//
// # Leaving
//
//	0         TERM
//	delay     StopSignal
//	grace−m   SIGKILL for the command, its process group and every descendant
//	grace     gone
//
// When the command has exited and some of its descendants have not, they get
// SIGTERM, KillGrace (within the grace that runs), then SIGKILL until none is
// left. What does not even die of that for SweepFor is named and left.
//
// # Memory
//
//	tree > MemoryLimit      fattest process of the tree, or the command: SIGTERM (the
//	                        command: StopSignal), KillGrace, SIGKILL
//	pod > GuardHard·limit   the same by SIGKILL at once: the kernel would take all
//	pod > GuardSoft·limit   said once, until it has fallen clearly below
//
// A command that was ended for its memory and then leaves with status 0 did not
// finish what it was started for: the status is 137, as if the kernel had done it.
//
// # Invariants
//
//   - SIGKILL comes only after a stop signal and its grace, for the memory of the
//     pod, or on a third TERM
//   - without Grace nothing but a person or memory ends a command
//   - after Leave there is no further action; it comes once
//   - Leave comes only when no descendant lives, or SweepFor after SIGKILL
//   - NextWake is never later than the next deadline, and Tick gets past it
//
// # What it deliberately does not do
//
// It does not start a command again: that is Kubernetes' affair, which counts and
// backs off. It knows nothing of tasks. It does not measure and does not look
// into /proc.
package command
