package control

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

func rateLimit(w World, m Mail) Answer {
	task, text := m.text("task_name"), rateText(m.Arguments["rate_limit"])
	rate, problem := Rate(m.Arguments["rate_limit"])
	if problem != "" {
		return nok("Invalid rate limit string: " + problem)
	}
	if !w.Known(task) {
		return nok("unknown task")
	}
	set := SetRate{Task: task, Rate: text, PerSecond: rate}
	if text == "" {
		return ok("rate limit disabled successfully").do(set)
	}
	return ok("new rate limit set successfully").do(set)
}

// rateText is a rate as its sender wrote it; empty for what Python takes for nothing.
func rateText(value json.RawMessage) string {
	switch text := string(value); text {
	case "", "null", "0", "0.0", "false", `""`:
		return ""
	default:
		var s string
		if json.Unmarshal(value, &s) == nil {
			return s
		}
		return text
	}
}

// Rate reads n, "n", "n/s", "n/m" or "n/h" as tasks per second; 0 is no limit. The
// problem is in Celery's words (celery/utils/time.py, rate).
//
// Celery: a unit that it does not know raises KeyError (5.7); here it is a problem
// of the text like others.
func Rate(value json.RawMessage) (perSecond float64, problem string) {
	text := rateText(value)
	if text == "" {
		return 0, ""
	}
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return 0, "ValueError(" + Repr("could not convert string to float: "+Repr(number)) + ")"
	}
	divisor, known := map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600}[unit]
	if !known {
		return 0, "KeyError(" + Repr(unit) + ")"
	}
	return max(n, 0) / divisor, ""
}

func timeLimit(w World, m Mail) Answer {
	task := m.text("task_name")
	if !w.Known(task) {
		return nok("unknown task")
	}
	soft, _ := m.number("soft")
	hard, _ := m.number("hard")
	return ok("time limits set successfully").do(SetLimits{Task: task, Soft: soft, Hard: hard})
}

func enableEvents(w World, _ Mail) Answer {
	if on, _ := w.EventsOn(); on {
		return ok("task events already enabled")
	}
	return ok("task events enabled").do(EnableEvents{})
}

func disableEvents(w World, _ Mail) Answer {
	if on, undoable := w.EventsOn(); !on || !undoable {
		return ok("task events already disabled")
	}
	return ok("task events disabled").do(DisableEvents{})
}

// count is n of pool_grow and pool_shrink.
func (m Mail) count() int {
	if n, given := m.number("n"); given {
		return int(n)
	}
	return 1
}

func poolGrow(w World, m Mail) Answer {
	if _, _, scaled := w.Autoscaler(); scaled {
		return nok("pool_grow is not supported with autoscale. Adjust autoscale range instead.")
	}
	return ok("pool will grow").do(Resize{Slots: w.Slots() + max(0, m.count())})
}

// poolShrink leaves at least one slot, as Celery does where children are idle.
// Celery: a child is ended at once or not at all; here a busy one leaves when its
// task has ended, so there is no "All processes busy!" but for the last slot.
func poolShrink(w World, m Mail) Answer {
	if _, _, scaled := w.Autoscaler(); scaled {
		return nok("pool_shrink is not supported with autoscale. Adjust autoscale range instead.")
	}
	left := w.Slots() - max(0, m.count())
	if left < 1 {
		return raises("ValueError", "Can't shrink pool. All processes busy!")
	}
	return ok("pool will shrink").do(Resize{Slots: left})
}

func poolRestart(w World, _ Mail) Answer {
	if !w.Restarts() {
		return raises("ValueError", "Pool restarts not enabled")
	}
	return ok("reload started").do(RestartPool{})
}

func autoscale(w World, m Mail) Answer {
	maximum, minimum, scaled := w.Autoscaler()
	if !scaled {
		return raises("ValueError", "Autoscale not enabled")
	}
	if n, given := m.number("max"); given {
		maximum = int(n)
	}
	if n, given := m.number("min"); given {
		minimum = int(n)
	}
	if maximum < 1 || minimum < 0 || minimum > maximum {
		return raises("ValueError", fmt.Sprintf("cannot scale between %d and %d", maximum, minimum))
	}
	return ok(fmt.Sprintf("autoscale now max=%d min=%d", maximum, minimum)).do(Rescale{Max: maximum, Min: minimum})
}

func addConsumer(_ World, m Mail) Answer {
	queue := m.text("queue")
	return ok("add consumer " + queue).do(AddQueue{Queue: queue, Arguments: m.Arguments})
}

func cancelConsumer(_ World, m Mail) Answer {
	queue := m.text("queue")
	return ok("no longer consuming from " + queue).do(CancelQueue{Queue: queue})
}
