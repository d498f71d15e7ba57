package script

import (
	"fmt"
	"strings"
	"time"

	"crisper/supervisor/pool"
)

// Action writes an action as one line.
func Action(a pool.Action) string {
	switch a := a.(type) {
	case pool.Transition:
		return transition(a)
	case pool.StartChild:
		return fmt.Sprintf("start child %d in slot %d from generation %d", a.Child, a.Slot, a.Generation)
	case pool.Retire:
		return fmt.Sprintf("retire child %d: %s", a.Child, a.Reason)
	case pool.Stop:
		return fmt.Sprintf("stop child %d", a.Child)
	case pool.Interrupt:
		return fmt.Sprintf("interrupt child %d, task %d: soft limit %s", a.Child, a.Task, a.Limit)
	case pool.Kill:
		return kill(a)
	case pool.StartGeneration:
		return "start a generation"
	case pool.PausePrefetch:
		if a.Paused {
			return "pause prefetch"
		}
		return "resume prefetch"
	case pool.GiveUp:
		return "give up: " + a.Reason
	case pool.Drained:
		return "drained"
	}
	return fmt.Sprintf("%T", a)
}

func transition(t pool.Transition) string {
	line := fmt.Sprintf("slot %d", t.Slot)
	if t.Child != 0 {
		line += fmt.Sprintf(" child %d gen %d", t.Child, t.Generation)
	}
	line += fmt.Sprintf(": %s -> %s (%s)", t.From, t.To, t.Reason)
	if t.Detail != "" {
		line += " " + t.Detail
	}
	return line
}

func kill(k pool.Kill) string {
	line := fmt.Sprintf("kill child %d by %s: %s", k.Child, k.Signal, k.Reason)
	if k.Limit > 0 {
		line += " " + k.Limit.String()
	}
	if k.Task != 0 {
		line += fmt.Sprintf(", task %d", k.Task)
	}
	return line
}

// view writes a line of the snapshot.
func view(v pool.SlotView) string {
	parts := []string{fmt.Sprintf("slot %d %s", v.Slot, v.State)}
	add := func(wanted bool, format string, args ...any) {
		if wanted {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(v.Reason != "", "(%s)", v.Reason)
	add(v.Child != 0, "child %d pid %d gen %d, %d done, age %s", v.Child, v.PID, v.Generation, v.TasksDone, v.Age.Round(time.Millisecond))
	add(v.Memory > 0, "memory %d", v.Memory)
	add(v.Task != 0, "task %d for %s", v.Task, v.TaskAge)
	add(v.Replacement != 0, "replacement %d %s", v.Replacement, v.ReplacementState)
	add(v.Leaving > 0, "leaving %d", v.Leaving)
	add(v.Closing, "closing")
	return strings.Join(parts, " ")
}
