package pool

import "time"

// SlotView is what one sees of a slot.
type SlotView struct {
	Slot       SlotID
	State      State
	Reason     Reason
	Child      ChildID // 0: none
	PID        int
	Generation Generation
	TasksDone  int
	Age        time.Duration // since it was asked for
	Memory     int64         // private bytes, as last measured
	Task       TaskID        // 0: none
	TaskAge    time.Duration
	// Replacement is being prepared or waits for the seat; 0: none.
	Replacement      ChildID
	ReplacementState State
	// Leaving is how many former children of the slot still live.
	Leaving int
	// NextStart is when a slot in Backoff tries again.
	NextStart time.Time
	// Closing: the slot goes with its child.
	Closing bool
}

// Snapshot shows every slot.
func (p *Pool) Snapshot(now time.Time) []SlotView {
	out := make([]SlotView, 0, len(p.slots))
	for _, s := range p.slots {
		v := SlotView{Slot: s.id, State: s.idle, Leaving: len(s.leaving), Closing: s.closing}
		if s.idle == Backoff {
			v.NextStart = s.until
		}
		if c := s.seat; c != nil {
			v.State, v.Reason, v.Child, v.PID, v.Generation = c.state, c.reason, c.id, c.pid, c.gen
			v.TasksDone, v.Age, v.Memory, v.Task = c.done, now.Sub(c.asked), c.memory, c.task
			if c.task != 0 {
				v.TaskAge = now.Sub(c.began)
			}
		}
		if s.next != nil {
			v.Replacement, v.ReplacementState = s.next.id, s.next.state
		}
		out = append(out, v)
	}
	return out
}

var stateNames = [...]string{"empty", "starting", "ready", "busy", "draining", "killing", "backoff"}

// String is the name that logs, metrics and pages use.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}
