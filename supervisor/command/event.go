package command

import "syscall"

// Event is something that happened. Past tense.
type Event interface{ event() }

// The events.
type (
	// Opened: start the command.
	Opened struct{}
	// Started: the process exists and runs the command.
	Started struct{ PID int }
	// StartFailed: there is no process. Code is what a shell would say, 126 or 127.
	StartFailed struct {
		Code   int
		Reason string
	}
	// Signalled: somebody sent us a signal.
	Signalled struct{ Signal syscall.Signal }
	// DrainRequested: somebody asked through the admin socket. As a first TERM; asking
	// again changes nothing.
	DrainRequested struct{}
	// Deaf: the command cannot hear what tells it to leave. As one TERM more.
	Deaf struct{}
	// Exited: the kernel's word. Text is for people and explains a SIGKILL that was
	// not ours.
	Exited struct {
		Code   int // exit status; -1 when a signal ended it
		Signal syscall.Signal
		Text   string
	}
	// Swept answers Sweep: so many descendants were alive, and some of their names.
	Swept struct {
		Alive int
		Names string
	}
	// Measured: the memory of every process of the tree, and of the pod's cgroup, in
	// bytes. Limit 0: none.
	Measured struct {
		Tree           []Process
		Current, Limit int64
	}
)

// Process is one process of the tree.
type Process struct {
	PID   int
	Name  string
	Bytes int64
}

func (Opened) event()         {}
func (Started) event()        {}
func (StartFailed) event()    {}
func (Signalled) event()      {}
func (DrainRequested) event() {}
func (Deaf) event()           {}
func (Exited) event()         {}
func (Swept) event()          {}
func (Measured) event()       {}

// Action is something to be done at the edge. Imperative.
type Action interface{ action() }

// The actions.
type (
	// Start the command; answered by Started or StartFailed.
	Start struct{}
	// Forward sends a signal to the command's own process.
	Forward struct{ Signal syscall.Signal }
	// Sweep sends a signal to every living descendant (0: only count them), and with
	// SIGKILL to the command's group as well; answered by Swept.
	Sweep struct{ Signal syscall.Signal }
	// End sends a signal to one process of the tree, for its memory.
	End struct {
		PID    int
		Signal syscall.Signal
	}
	// Transition: one place turns it into the log line, the metric and the state page.
	Transition struct {
		From, To State
		Reason   Reason
		Detail   string
	}
	// Warn says something to operators that is no transition.
	Warn struct{ Message, Detail string }
	// Leave with this exit code. Why is empty when the command's own status says all
	// there is to say. The last action ever.
	Leave struct {
		Code int
		Why  string
	}
)

func (Start) action()      {}
func (Forward) action()    {}
func (Sweep) action()      {}
func (End) action()        {}
func (Transition) action() {}
func (Warn) action()       {}
func (Leave) action()      {}

// State is where the command is in its life.
type State uint8

// The states.
const (
	Waiting  State = iota // not asked for
	Starting              // asked for
	Ready                 // it runs
	Draining              // told to leave, or about to be
	Killing               // SIGKILL was sent
	Sweeping              // it has exited; what it left behind is ended
	Over                  // Leave was given
)

var stateNames = [...]string{"waiting", "starting", "ready", "draining", "killing", "sweeping", "over"}

// String is the name that logs, metrics and pages use.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// Reason is why; never a state.
type Reason string

// The reasons.
const (
	ReasonStart       Reason = "start"
	ReasonStartFailed Reason = "start_failed"
	ReasonDrain       Reason = "drain" // TERM, INT, QUIT, crisper drain
	ReasonCutoff      Reason = "cutoff"
	ReasonOOM         Reason = "oom"
	ReasonExited      Reason = "exited"
	ReasonCrashed     Reason = "crashed" // a signal that was not ours
	ReasonStrays      Reason = "strays"
)
