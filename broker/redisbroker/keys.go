package redisbroker

import (
	"encoding/json"
	"sort"
	"strconv"
)

// layout knows the names of all keys, with the global prefix.
type layout struct {
	prefix                       string
	sep                          string
	steps                        []int
	unacked, index, mutex        string
	owners, presence, deadLetter string
}

func newLayout(o options, deadLetter string) layout {
	if deadLetter == "" {
		deadLetter = "crisper.dead_letter"
	}
	p := o.prefix
	return layout{
		prefix: p, sep: o.sep, steps: o.steps,
		unacked: p + o.unackedKey, index: p + o.indexKey, mutex: p + o.mutexKey,
		owners: p + "crisper.owners", presence: p + "crisper.presence", deadLetter: p + deadLetter,
	}
}

// step is the priority step that a priority falls to: the largest not above it.
//
// Celery: steps[bisect(steps, n) - 1] (kombu/transport/redis.py, Channel.priority),
// which wraps to the last step when all are above.
func (l layout) step(priority int) int {
	priority = min(max(priority, 0), 9)
	at := sort.SearchInts(l.steps, priority+1) - 1
	if at < 0 {
		at = len(l.steps) - 1
	}
	return l.steps[at]
}

// list is the key of a queue's messages of one priority.
func (l layout) list(queue string, priority int) string {
	return l.listOf(queue, l.step(priority))
}

func (l layout) listOf(queue string, step int) string {
	if step == 0 {
		return l.prefix + queue
	}
	return l.prefix + queue + l.sep + strconv.Itoa(step)
}

// lists are all keys of queues, priority by priority, as kombu's BRPOP has them.
func (l layout) lists(queues []string) []string {
	keys := make([]string, 0, len(queues)*len(l.steps))
	for _, step := range l.steps {
		for _, q := range queues {
			keys = append(keys, l.listOf(q, step))
		}
	}
	return keys
}

func (l layout) bindings(exchange string) string { return l.prefix + "_kombu.binding." + exchange }

func (l layout) permanentBindings(exchange string) string {
	return l.prefix + "_kombu.binding_permanent." + exchange
}

// unackedTail closes the unacked value of a message of this queue. With an empty
// exchange kombu restores to the queue named by the routing key.
func unackedTail(queue string) string {
	name, _ := json.Marshal(queue) // a string always has a JSON form
	return `, "", ` + string(name) + `]`
}
