package native

import (
	"time"

	"crisper/supervisor/consumer"
	"crisper/supervisor/ledger"
)

// entry is a delivery in our books, with what the loop needs to know of it.
type entry = ledger.Entry[task]

// task is the loop's own data of a delivery.
type task struct {
	kind  *taskKind
	run   consumer.Run
	begun time.Time
	// estimate is what was added to its child's expected time.
	estimate float64
}

// taskKind is what is known of all tasks of one name.
type taskKind struct {
	name string
	attr consumer.Task
	// mean is the running average of how long its body takes, in seconds; seen is
	// how many went into it.
	mean float64
	seen int
	// listed: among the names in loop.listed, if there was room.
	listed bool
	// events: its events are wanted, if any are; begun is how many have begun.
	events bool
	begun  int64
	limit  *limit // nil: it never had a rate
}

// A kind is short when its next task can be expected to end within a few
// milliseconds; only then may deliveries lie ready behind another.
const (
	shortTask    = 5 * time.Millisecond
	lookahead    = 4 * shortTask // how much work may lie ready in a child's socket
	enoughSeen   = 8
	slowAfter    = 4 * shortTask // a head that runs longer gives up what waits behind it
	averageShare = 1.0 / 16
)

func (k *taskKind) observe(runtime time.Duration) {
	s := runtime.Seconds()
	if k.seen == 0 {
		k.mean = s
	}
	k.seen++
	// A long run is believed at once, a short one slowly.
	if s > k.mean {
		k.mean = (k.mean + s) / 2
		return
	}
	k.mean += (s - k.mean) * averageShare
}

func (k *taskKind) short() bool {
	return k.seen >= enoughSeen && k.mean < shortTask.Seconds()
}

// unknownKind stands for tasks that are not registered. That is an event, as in Celery.
var unknownKind = &taskKind{name: "unknown", events: true}

func (l *loop) kindOf(name string) *taskKind {
	if k, ok := l.kinds[name]; ok {
		return k
	}
	attr, ok := l.info.Tasks[name]
	if !ok {
		return unknownKind
	}
	k := &taskKind{name: name, attr: consumerTask(attr), events: attr.SendEvents}
	l.kinds[name] = k
	return k
}
