package redisbroker

import (
	"slices"
)

// cycle is the order in which queues are asked (kombu/utils/scheduling.py).
type cycle struct {
	items  []string
	rotate bool
}

func newCycle(strategy string, queues []string) cycle {
	c := cycle{items: slices.Clone(queues), rotate: strategy == "round_robin"}
	if strategy == "sorted" {
		slices.Sort(c.items)
	}
	return c
}

// served moves a queue that has just given a message to the end.
func (c *cycle) served(queue string) {
	if !c.rotate {
		return
	}
	if at := slices.Index(c.items, queue); at >= 0 && at < len(c.items)-1 {
		copy(c.items[at:], c.items[at+1:])
		c.items[len(c.items)-1] = queue
	}
}
