package script

import (
	"fmt"
	"strings"
	"time"

	"crisper/supervisor/pool"
)

// statusOK is the one exit status that is good.
const statusOK = "exit status 0"

// event reads an event; now is what deadlines count from.
func event(name string, a *args, now time.Time) (ev pool.Event, err error) {
	switch name {
	case "opened":
		ev = pool.Opened{}
	case "generation":
		ev = generation(a)
	case "forked":
		id := a.child()
		ev = pool.ChildForked{Child: id, PID: a.intOption("pid", pidOf(id))}
	case "fork_failed":
		ev = pool.ForkFailed{Child: a.child(), Reason: a.rest()}
	case "ready":
		ev = pool.ChildReady{Child: a.child()}
	case "exited":
		id, status := a.child(), a.rest()
		ev = pool.ChildExited{Child: id, Status: status, OK: status == statusOK}
	case "began":
		ev = pool.TaskBegan{Child: a.child(), Task: a.task(), Soft: a.duration("soft", 0), Hard: a.duration("hard", 0)}
	case "ended":
		ev = pool.TaskEnded{Child: a.child(), Task: a.task()}
	case "memory":
		ev = memory(a)
	case "cgroup":
		current := a.size(a.word("the size"))
		a.word("of")
		ev = pool.CgroupMeasured{Current: current, Limit: a.size(a.word("the limit"))}
	case "resized":
		ev = pool.Resized{Slots: a.count("slots", a.number("the number of slots"))}
	case "drain_began":
		ev = drainBegan(a, now)
	case "drain_hurried":
		ev = pool.DrainHurried{}
	case "broken":
		ev = pool.FrameBroken{Child: a.child(), Reason: a.rest()}
	case "hung", "deaf":
		ev = pool.ChildHung{Child: a.child(), Deaf: name == "deaf", Detail: a.rest()}
	case "terminate":
		signal, _ := a.option("signal")
		ev = pool.TerminateRequested{Child: a.child(), Task: a.task(), Signal: signal}
	default:
		a.fail("no such command: %q", name)
	}
	return ev, a.done()
}

func (a *args) task() pool.TaskID { return pool.TaskID(a.intOption("task", 0)) }

func generation(a *args) pool.Event {
	g := pool.Generation(a.number("the generation"))
	switch what := a.word("ready or lost"); what {
	case "ready":
		return pool.GenerationReady{Generation: g}
	case "lost":
		return pool.GenerationLost{Generation: g}
	default:
		a.fail("a generation is ready or lost, not %q", what)
	}
	return nil
}

func memory(a *args) pool.Event {
	var ev pool.MemoryMeasured
	for _, w := range a.words {
		child, size, _ := strings.Cut(w, "=")
		ev.Children = append(ev.Children, pool.ChildMemory{
			Child: pool.ChildID(a.parse("the child", child)), Bytes: a.size(size),
		})
	}
	a.words = nil
	return ev
}

func drainBegan(a *args, now time.Time) pool.Event {
	if d := a.duration("deadline", 0); d > 0 {
		return pool.DrainBegan{Deadline: now.Add(d)}
	}
	return pool.DrainBegan{}
}

// Event writes an event as a command, the inverse of what Run reads.
func Event(ev pool.Event, now time.Time) string {
	switch ev := ev.(type) {
	case pool.Opened:
		return "opened"
	case pool.GenerationReady:
		return fmt.Sprintf("generation %d ready", ev.Generation)
	case pool.GenerationLost:
		return fmt.Sprintf("generation %d lost", ev.Generation)
	case pool.ChildForked:
		return fmt.Sprintf("forked %d pid=%d", ev.Child, ev.PID)
	case pool.ForkFailed:
		return fmt.Sprintf("fork_failed %d %s", ev.Child, ev.Reason)
	case pool.ChildReady:
		return fmt.Sprintf("ready %d", ev.Child)
	case pool.ChildExited:
		return fmt.Sprintf("exited %d %s", ev.Child, ev.Status)
	case pool.TaskBegan:
		return fmt.Sprintf("began %d task=%d", ev.Child, ev.Task) + given("soft", ev.Soft) + given("hard", ev.Hard)
	case pool.TaskEnded:
		return fmt.Sprintf("ended %d task=%d", ev.Child, ev.Task)
	case pool.ChildHung:
		if ev.Deaf {
			return fmt.Sprintf("deaf %d %s", ev.Child, ev.Detail)
		}
		return fmt.Sprintf("hung %d %s", ev.Child, ev.Detail)
	case pool.MemoryMeasured:
		line := "memory"
		for _, m := range ev.Children {
			line += fmt.Sprintf(" %d=%d", m.Child, m.Bytes)
		}
		return line
	case pool.CgroupMeasured:
		return fmt.Sprintf("cgroup %d of %d", ev.Current, ev.Limit)
	case pool.Resized:
		return fmt.Sprintf("resized %d", ev.Slots)
	case pool.DrainBegan:
		if ev.Deadline.IsZero() {
			return "drain_began"
		}
		return "drain_began" + given("deadline", ev.Deadline.Sub(now))
	case pool.DrainHurried:
		return "drain_hurried"
	case pool.FrameBroken:
		return fmt.Sprintf("broken %d %s", ev.Child, ev.Reason)
	case pool.TerminateRequested:
		return fmt.Sprintf("terminate %d task=%d signal=%s", ev.Child, ev.Task, ev.Signal)
	}
	return fmt.Sprintf("# %T", ev)
}

func given(key string, d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf(" %s=%s", key, d)
}
