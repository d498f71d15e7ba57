package control

import "encoding/json"

// Answer is what becomes of a mail.
type Answer struct {
	// Reply is any value with a JSON form. NoReply: not even to who asked for one.
	Reply   any
	NoReply bool
	// Python is asked first; its answer is the reply. nil: nobody is asked.
	Python *Question
	// Actions are carried out in order, before the reply is sent.
	Actions []Action
}

// Question is for Celery's own code. With Op "panel" its answer is the reply, with
// others the reply is ours and waits for it.
type Question struct {
	Op        string
	Method    string
	Arguments map[string]json.RawMessage
	IDs       []string
}

// Action is something to be done by the worker.
type Action interface{ action() }

// The actions.
type (
	// Revoke: these ids are not to run. What waits in a child's socket comes back. Quiet:
	// Celery does not say that they are flagged.
	Revoke struct {
		IDs   []string
		Quiet bool
	}
	// RevokeStamps: nor what carries one of these values under this stamp.
	RevokeStamps struct {
		Stamp  string
		Values []string
	}
	// Terminate the child that runs this task, if it still does. Signal is a name. Handle
	// is 0 for a task that has not begun: revoked, it will not, and Celery says the same.
	Terminate struct {
		Handle uint64
		ID     string
		Signal string
	}
	// SetRate: Rate is as text ("10/m"), empty for none; PerSecond is the same as a number.
	SetRate struct {
		Task, Rate string
		PerSecond  float64
	}
	// SetLimits: in seconds; 0 for none.
	SetLimits struct {
		Task       string
		Soft, Hard float64
	}
	// EnableEvents and DisableEvents of tasks.
	EnableEvents  struct{}
	DisableEvents struct{}
	// Pulse: a heartbeat now.
	Pulse struct{}
	// Resize the pool.
	Resize struct{ Slots int }
	// RestartPool: load the app again.
	RestartPool struct{}
	// Rescale: new bounds of the autoscaler.
	Rescale struct{ Max, Min int }
	// Shutdown: warm.
	Shutdown struct{}
	// AddQueue and CancelQueue change what is consumed.
	AddQueue struct {
		Queue string
		// Arguments are those of add_consumer, for Celery's own code.
		Arguments map[string]json.RawMessage
	}
	CancelQueue struct{ Queue string }
)

func (Revoke) action()        {}
func (RevokeStamps) action()  {}
func (Terminate) action()     {}
func (SetRate) action()       {}
func (SetLimits) action()     {}
func (EnableEvents) action()  {}
func (DisableEvents) action() {}
func (Pulse) action()         {}
func (Resize) action()        {}
func (RestartPool) action()   {}
func (Rescale) action()       {}
func (Shutdown) action()      {}
func (AddQueue) action()      {}
func (CancelQueue) action()   {}

// ok and nok are Celery's two ways of answering a command.
func ok(text string) Answer  { return Answer{Reply: map[string]string{"ok": text}} }
func nok(text string) Answer { return Answer{Reply: map[string]string{"error": text}} }

// raises is the reply of a command that raised.
func raises(exception, text string) Answer {
	return nok(exception + "(" + Repr(text) + ")")
}

func (a Answer) do(actions ...Action) Answer {
	a.Actions = append(a.Actions, actions...)
	return a
}
