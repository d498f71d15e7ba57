// Package pool decides when a child is started, recycled, drained or killed. It
// does none of it.
//
// # What it is
//
// A plain value owned by one goroutine. Events go in, actions come out:
//
//	acts = p.Step(now, event, acts[:0])   something happened
//	acts = p.Tick(now, acts[:0])          NextWake has come
//
// The same pool serves executors forked from a zygote, whole Celery workers and
// any other command. It reads no clock, draws no numbers, starts nothing and
// writes nothing; package script replays what happened to it from a text.
//
// A slot has a seat. The child in it may be given tasks (MayTake) while it is
// ready or busy. Beside it there may be one replacement, starting or ready and
// waiting, and there may be children that gave the seat up and have not exited
// yet. The replacement takes the seat in the moment in which the old child is
// asked to leave and runs nothing, or has exited: a transition from Ready to
// Ready tells so.
//
// # Authority
//
// The kernel is right about who lives: only ChildExited (or ForkFailed, for who
// never lived) takes a child out. The child is right about what it runs: TaskBegan
// and TaskEnded are believed, also when they cross our Stop or signal on the wire.
// The pool is right about what is wanted: its decisions take effect at once, as
// a state and a reason, and are not taken back.
//
// # States
//
//	Empty    ─┬─ asked for ──────────────────────────────► Starting
//	          └─ failed twice in a row ──────────────────► Backoff
//	Backoff  ─┬─ time is over ───────────────────────────► Starting
//	          └─ drain, resize ──────────────────────────► Empty
//	Starting ─┬─ says hello ─────────────────────────────► Ready
//	          ├─ hung, not wanted any more ──────────────► Killing
//	          └─ exited, fork failed ────────────────────► Empty
//	Ready    ─┬─ task began (not told) ──────────────────► Busy
//	          ├─ takes the seat ─────────────────────────► Ready
//	          ├─ max_tasks, max_memory, max_age, … ──────► Draining
//	          ├─ broken, oom, cutoff ────────────────────► Killing
//	          └─ crashed ────────────────────────────────► Empty
//	Busy     ─┬─ task ended (not told) ──────────────────► Ready
//	          ├─ due, and a replacement is ready; drain ─► Draining
//	          ├─ hard_limit, oom, terminate, broken, … ──► Killing
//	          └─ crashed ────────────────────────────────► Empty
//	Draining ─┬─ hung, or as from Busy ──────────────────► Killing
//	          └─ exited, crashed ────────────────────────► Empty
//	Killing  ─── exited ─────────────────────────────────► Empty
//
// Every change is a Transition, but for those between Ready and Busy: they
// come tens of thousands of times a second, say no more than TaskBegan and
// TaskEnded, and Snapshot shows them.
//
// # What the caller owes
//
//   - Opened once, and GenerationReady when a zygote can fork. The first zygote is
//     the caller's to start; the pool asks for others by StartGeneration. Generations
//     grow; one that was asked for and died before it was ready is GenerationLost too.
//     A zygote that is loading already, for a reload, satisfies StartGeneration.
//     Children that come from no zygote have one generation, ready from the start.
//   - Each StartChild is answered by ChildForked and ChildReady (in either order),
//     ForkFailed, or ChildExited. When a zygote dies, requests that it has not
//     answered are answered by ForkFailed once it is certain that there is no child
//     (end of file on its socket); so is a Kill for a child that has no process.
//   - All that a child said before its death is told before ChildExited.
//   - After Retire nothing more is sent to the child, and what it has not begun is
//     taken back before Stop is carried out. Room bounds what is sent before.
//   - After Drained the pool is over; it ignores what comes later.
//
// # Recycling
//
// A child that is due (max_memory, max_age, reload) works on until its replacement
// is ready; then it is retired, and if it is busy its replacement waits. For
// max_tasks the replacement is started when what is left will take less than two
// starts, by the averages of task and start times seen so far, and the old child
// works until it has used up its number; it is never exceeded, and if the
// replacement is late the seat stays empty that long. At most Surge children live
// beside those in the seats, those that have left one and not exited included, so
// replacements are made one after the other (gap_test.go measures what that costs):
// missing ones first, then those for max_tasks, then for idle children, then for
// busy ones. When all of surge waits for the ends of long tasks, idle children
// are replaced without a replacement ready: the gap is nothing beside such tasks.
//
// Limits are jittered downwards, by one draw per child. Memory counts between
// tasks: in an idle child, or in two measurements in a row with a task's end
// between them.
//
// # Failure
//
// A child that dies before it is ready, or within BackoffMax of that without a task
// done, is a failure. After the first the slot starts again at once, then after
// BackoffMin, doubling up to BackoffMax; a task done forgives all. When nothing but
// failed starts (deaths by a first task do not count) has been seen for
// GiveUpAfter, and no child works, the pool gives up and starts nothing more.
//
//	not ready in StartTimeout            SIGTERM, KillGrace, SIGKILL   hung
//	asked to leave, StopTimeout          SIGTERM, KillGrace, SIGKILL   hung
//	takes nothing, deaf                  SIGTERM, KillGrace, SIGKILL   hung
//	takes nothing, not deaf              replaced, and leaves as for max_age   hung
//	hard limit                           SIGTERM, HardLimitGrace, SIGKILL
//	MemoryKill during a task             SIGTERM, HardLimitGrace, SIGKILL   oom
//	cgroup above GuardHard               SIGKILL   oom
//	nonsense on the wire                 SIGKILL   broken
//	terminate                            the signal, KillGrace, SIGKILL
//	still alive at the drain's deadline  SIGTERM, CutoffGrace, SIGKILL   cutoff
//
// A task that begins although its child was asked to leave suspends that deadline
// until it ends. A task that ends before the pool is told that a limit has passed
// has not exceeded it.
//
// A drain dismisses idle children at once and busy ones after their task; those
// still starting get SIGTERM. It lasts no longer than until its deadline plus
// CutoffGrace and the kernel's time to carry a SIGKILL out; without a deadline,
// as long as the longest task.
//
// # Invariants
//
//   - no start makes more than Size + Surge children live
//   - a slot has at most one child that may take tasks
//   - no child begins more than max_tasks, if Room is kept
//   - SIGKILL comes only after SIGTERM and its grace, or for oom, broken, or on demand
//   - Interrupt and Kill for a limit name the task that runs
//   - after DrainBegan or GiveUp nothing is started
//   - Drained is the last action, once, when the last child is gone
//   - a slot never starts two children after failures without the pause between
//   - NextWake is never later than the next deadline, and Tick gets past it
//
// # What it deliberately does not do
//
// It does not know tasks beyond their number and limits, nor deliveries: what
// becomes of the task of a dead child is the ledger's and the consumer's affair.
// It does not choose a child for a task. It does not measure, and it does not know
// whether a signal arrived.
package pool
