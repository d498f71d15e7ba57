package control

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// command is one of Celery's (celery/worker/control.py).
type command struct {
	answer func(World, Mail) Answer
	// needs are the arguments without which it raises TypeError.
	needs []string
	// looks: the answer tells what has been taken from the broker by now.
	looks bool
}

// commands by name, old names included.
var commands = map[string]command{
	"ping":          {answer: func(World, Mail) Answer { return ok("pong") }},
	"clock":         {answer: func(w World, _ Mail) Answer { return Answer{Reply: map[string]int64{"clock": w.Clock()}} }},
	"hello":         {answer: hello, needs: []string{"from_node"}},
	"stats":         {answer: func(w World, _ Mail) Answer { return Answer{Reply: w.Stats()} }},
	"active":        {answer: active, looks: true},
	"reserved":      {answer: func(w World, _ Mail) Answer { return Answer{Reply: list(w.Reserved())} }, looks: true},
	"scheduled":     {answer: scheduled, looks: true},
	"revoked":       {answer: func(w World, _ Mail) Answer { return Answer{Reply: list(w.Revoked())} }},
	"query_task":    {answer: queryTask, needs: []string{"ids"}, looks: true},
	"active_queues": {answer: func(w World, _ Mail) Answer { return Answer{Reply: list(w.Queues())} }},

	"conf": {answer: python}, "report": {answer: python}, "registered": {answer: python}, "memsample": {answer: python},
	"memdump": {answer: python}, "objgraph": {answer: python},

	"revoke":                    {answer: revoke, needs: []string{"task_id"}},
	"terminate":                 {answer: terminate, needs: []string{"signal", "task_id"}},
	"revoke_by_stamped_headers": {answer: revokeByStamps, needs: []string{"headers"}},
	"rate_limit":                {answer: rateLimit, needs: []string{"task_name", "rate_limit"}},
	"time_limit":                {answer: timeLimit},
	"enable_events":             {answer: enableEvents},
	"disable_events":            {answer: disableEvents},
	"heartbeat":                 {answer: func(World, Mail) Answer { return Answer{}.do(Pulse{}) }},
	"election":                  {answer: func(World, Mail) Answer { return Answer{} }, needs: []string{"id", "topic"}},
	"pool_grow":                 {answer: poolGrow},
	"pool_shrink":               {answer: poolShrink},
	"pool_restart":              {answer: poolRestart},
	"autoscale":                 {answer: autoscale},
	"shutdown":                  {answer: func(World, Mail) Answer { return Answer{NoReply: true}.do(Shutdown{}) }},
	"add_consumer":              {answer: addConsumer, needs: []string{"queue"}},
	"cancel_consumer":           {answer: cancelConsumer, needs: []string{"queue"}},
}

// aliases are what older clients say.
var aliases = map[string]string{
	"dump_conf": "conf", "dump_schedule": "scheduled", "dump_reserved": "reserved",
	"dump_active": "active", "dump_revoked": "revoked", "dump_tasks": "registered",
}

// LooksAtTasks tells whether the answer to a method depends on what has been taken from
// the broker: who asks may have sent a task just before.
func LooksAtTasks(method string) bool { return commands[current(method)].looks }

// current is the name that a method has today.
func current(method string) string {
	if name, ok := aliases[method]; ok {
		return name
	}
	return method
}

// Handle answers a mail that is for us.
func Handle(w World, m Mail) Answer {
	if w.Custom(m.Method) {
		return python(w, m)
	}
	name := current(m.Method)
	c, known := commands[name]
	if !known {
		return raises("KeyError", m.Method)
	}
	var missing []string
	for _, argument := range c.needs {
		if _, given := m.Arguments[argument]; !given {
			missing = append(missing, Repr(argument))
		}
	}
	if len(missing) > 0 {
		plural := map[bool]string{true: "s", false: ""}[len(missing) > 1]
		return raises("TypeError", fmt.Sprintf("%s() missing %d required positional argument%s: %s",
			name, len(missing), plural, strings.Join(missing, " and ")))
	}
	return c.answer(w, m)
}

// python leaves the answer to Celery's own code, or the app's.
func python(_ World, m Mail) Answer {
	return Answer{Python: &Question{Op: "panel", Method: m.Method, Arguments: m.Arguments}}
}

// list is never null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// The readers of arguments; what has another type is as if not given.

func (m Mail) text(name string) string {
	var s string
	_ = json.Unmarshal(m.Arguments[name], &s)
	return s
}

func (m Mail) flag(name string) bool {
	switch text := string(m.Arguments[name]); text {
	case "", "null", "false", "0", `""`, "[]", "{}":
		return false
	}
	return true
}

// number reads a number, also from text, as the command line sends it; given is
// false for null and for what is no number.
func (m Mail) number(name string) (n float64, given bool) {
	raw := m.Arguments[name]
	if string(raw) == "null" {
		return 0, false
	}
	if json.Unmarshal(raw, &n) == nil {
		return n, true
	}
	n, err := strconv.ParseFloat(m.text(name), 64)
	return n, err == nil
}
