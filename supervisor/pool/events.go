package pool

import "time"

// SlotID numbers the seats of the pool from 0. ChildID is unique in the life of
// a Pool and never 0. Generation numbers the zygotes from 1.
type (
	SlotID     int
	ChildID    uint64
	Generation int
	// TaskID is the supervisor's number (the frame's seq) of a task in a child.
	TaskID uint64
)

// Event is something that happened. Past tense.
type Event interface{ event() }

// The events.
type (
	// Opened: start the pool.
	Opened struct{}
	// GenerationReady: children can be forked from this zygote; those of older
	// generations are to be replaced, one after the other.
	GenerationReady struct{ Generation Generation }
	// GenerationLost: this zygote died. Its children live on; new ones wait for
	// the next generation.
	GenerationLost struct{ Generation Generation }
	// ChildForked: the process exists.
	ChildForked struct {
		Child ChildID
		PID   int
	}
	// ChildReady: it said hello and may be given tasks.
	ChildReady struct{ Child ChildID }
	// ForkFailed: there is no process.
	ForkFailed struct {
		Child  ChildID
		Reason string
	}
	// ChildExited: the kernel says so. The only event that empties a seat.
	ChildExited struct {
		Child  ChildID
		Status string // for people: "exit status 3", "signal 9 (SIGKILL)"
		OK     bool   // exit status 0
	}
	// TaskBegan: the child started a task. Limits are 0 when there are none.
	TaskBegan struct {
		Child      ChildID
		Task       TaskID
		Soft, Hard time.Duration
	}
	// TaskEnded: the child reported its end, whatever it was.
	TaskEnded struct {
		Child ChildID
		Task  TaskID
	}
	// MemoryMeasured: current private memory (Private_Dirty+Private_Clean of
	// smaps_rollup), in bytes, of some children.
	MemoryMeasured struct{ Children []ChildMemory }
	// CgroupMeasured: the memory of the pod's cgroup, in bytes. Limit 0: none.
	CgroupMeasured struct{ Current, Limit int64 }
	// Resized: the number of slots wanted from now on. Never ends a task.
	Resized struct{ Slots int }
	// DrainBegan: no new child, no new task; leave when the last task ends.
	// Deadline is when what still runs is cut off; zero: wait for ever.
	DrainBegan struct{ Deadline time.Time }
	// DrainHurried: the deadline is now (a second TERM, QUIT).
	DrainHurried struct{}
	// FrameBroken: a child spoke nonsense; it is to be ended.
	FrameBroken struct {
		Child  ChildID
		Reason string
	}
	// ChildHung: it takes nothing although it could. One that is deaf does not react
	// to anything and is ended; any other is replaced, and its tasks are not cut.
	ChildHung struct {
		Child  ChildID
		Deaf   bool
		Detail string // numbers for people
	}
	// TerminateRequested: end this task by this signal (remote control). Ignored
	// unless the child is running exactly this task.
	TerminateRequested struct {
		Child  ChildID
		Task   TaskID
		Signal string // "SIGTERM"
	}
)

// ChildMemory is one measurement.
type ChildMemory struct {
	Child ChildID
	Bytes int64
}

func (Opened) event()             {}
func (GenerationReady) event()    {}
func (GenerationLost) event()     {}
func (ChildForked) event()        {}
func (ChildReady) event()         {}
func (ForkFailed) event()         {}
func (ChildExited) event()        {}
func (TaskBegan) event()          {}
func (TaskEnded) event()          {}
func (MemoryMeasured) event()     {}
func (CgroupMeasured) event()     {}
func (Resized) event()            {}
func (DrainBegan) event()         {}
func (DrainHurried) event()       {}
func (FrameBroken) event()        {}
func (ChildHung) event()          {}
func (TerminateRequested) event() {}

// Action is something to be done at the edge. Imperative.
type Action interface{ action() }

// The actions.
type (
	// StartChild: fork a child for this slot from this generation. Answered by
	// ChildForked and ChildReady, or ForkFailed.
	StartChild struct {
		Slot       SlotID
		Child      ChildID
		Generation Generation
	}
	// Retire: give this child nothing more and take back what it has not begun.
	Retire struct {
		Child  ChildID
		Reason Reason
	}
	// Stop: ask it to leave (Exit frame); it has nothing begun as far as we know.
	Stop struct{ Child ChildID }
	// Interrupt: the soft time limit of this task passed (page, then SIGUSR1).
	Interrupt struct {
		Child ChildID
		Task  TaskID
		Limit time.Duration
	}
	// Kill: send a signal. Reason hard_limit, hung, oom, cutoff, broken, … says why, and
	// Task is what it was running (0: nothing).
	Kill struct {
		Child  ChildID
		Task   TaskID
		Signal string // "SIGTERM" or "SIGKILL"
		Reason Reason
		Limit  time.Duration // hard_limit only
	}
	// StartGeneration: no usable zygote; a new one is needed.
	StartGeneration struct{}
	// PausePrefetch: memory is scarce (true) or not any more (false).
	PausePrefetch struct{ Paused bool }
	// Transition: a slot's child changed state. One place turns it into the log
	// line, the metric and the state page.
	Transition struct {
		Slot       SlotID
		Child      ChildID
		Generation Generation
		From, To   State
		Reason     Reason
		Detail     string // numbers for people: "312 MB > 300 MB"
	}
	// GiveUp: children cannot be started; the pod should exit with this reason.
	GiveUp struct{ Reason string }
	// Drained: every seat is empty after DrainBegan. The last action ever.
	Drained struct{}
)

func (StartChild) action()      {}
func (Retire) action()          {}
func (Stop) action()            {}
func (Interrupt) action()       {}
func (Kill) action()            {}
func (StartGeneration) action() {}
func (PausePrefetch) action()   {}
func (Transition) action()      {}
func (GiveUp) action()          {}
func (Drained) action()         {}

// State is where a child is in its life.
type State uint8

// The states. A slot without a child is Empty or Backoff.
const (
	Empty    State = iota
	Starting       // asked for, or forked and not yet ready
	Ready          // idle
	Busy           // running a task
	Draining       // finishing what it began, then it leaves
	Killing        // told to die by a signal
	Backoff        // waiting before the next start
)

// Reason is why; never a state.
type Reason string

// The reasons.
const (
	ReasonStart     Reason = "start"
	ReasonTask      Reason = "task"
	ReasonMaxTasks  Reason = "max_tasks"
	ReasonMaxMemory Reason = "max_memory"
	ReasonMaxAge    Reason = "max_age"
	ReasonReload    Reason = "reload"
	ReasonResize    Reason = "resize"
	ReasonDrain     Reason = "drain"
	ReasonCrashed   Reason = "crashed"
	ReasonHung      Reason = "hung"       // did not become ready, did not leave, or takes nothing
	ReasonHardLimit Reason = "hard_limit" // of a task
	ReasonOOM       Reason = "oom"        // memory-kill-per-child or the cgroup guard
	ReasonCutoff    Reason = "cutoff"     // the grace period ended
	ReasonBroken    Reason = "broken"     // bad frame
	ReasonTerminate Reason = "terminate"  // remote control
	ReasonForkFail  Reason = "fork_failed"
	ReasonExited    Reason = "exited" // left as asked
)
