package held

import (
	"math"
	"slices"

	"crisper/broker"
)

// Hand is what one worker holds. The zero value holds nothing.
type Hand struct {
	taken      uint64 // deliveries ever taken
	deliveries map[broker.Tag]*delivery
	tasks      map[string]Task // by id, those that run
	kept       int             // bytes of their messages
}

// mostKept bounds the messages of one worker's tasks, in bytes. What runs beyond it is
// known and cannot be recorded when it is lost.
const mostKept = 16 << 20

// quick is how long booking takes at most where its end is not told, in seconds.
const quick = 0.2

type delivery struct {
	order     uint64
	tag       broker.Tag
	low, high float64
	done      bool // acknowledged early, and its task has ended
}

// Task is one that runs.
type Task struct {
	ID, Name string
	Tag      broker.Tag // "": not known
	Late     bool       // acknowledged late
	// Message is what the agent packed of an early one; nil: it is not known.
	Message []byte
	parts   []byte // of it, while some are missing
	torn    bool   // there was no room for one of them
	order   uint64
}

// Read takes in what the agent wrote. took says that a delivery was taken. What stands
// before bytes that are no record is taken in.
func (h *Hand) Read(records []byte) (took bool, err error) {
	for len(records) > 0 {
		var r record
		if r, records, err = next(records); err != nil {
			return took, err
		}
		switch r.kind {
		case accepted:
			h.began(r.task)
		case message:
			h.part(r.task.ID, r.task.Message, r.more)
		case ended:
			h.ended(r.task.ID)
		default:
			h.delivery(r.kind, r.at, r.task.Tag)
			took = took || r.kind == taken
		}
	}
	return took, nil
}

func (h *Hand) delivery(kind byte, at float64, tag broker.Tag) {
	switch d := h.deliveries[tag]; {
	case kind == taken:
		if h.deliveries == nil {
			h.deliveries = map[broker.Tag]*delivery{}
		}
		h.taken++
		h.deliveries[tag] = &delivery{order: h.taken, tag: tag, low: at, high: at + quick}
	case d == nil:
	case kind == booked:
		d.high = max(at, d.low)
	default:
		delete(h.deliveries, tag)
	}
}

func (h *Hand) began(t Task) {
	if h.tasks == nil {
		h.tasks = map[string]Task{}
	}
	h.forget(t.ID)
	h.taken++
	t.order = h.taken
	h.tasks[t.ID] = t
}

// ended: a delivery that is still in hand was acknowledged when its task began, and the
// broker did not hear of it. It must not run again.
func (h *Hand) ended(id string) {
	t := h.tasks[id]
	if d := h.deliveries[t.Tag]; d != nil && !t.Late && d.order < t.order {
		d.done = true
	}
	h.forget(id)
}

// part keeps a part of a running task's message. One that there is no room for, or that
// is of no task, is left out with all that belongs to it.
func (h *Hand) part(id string, part []byte, more bool) {
	t, known := h.tasks[id]
	switch {
	case !known || t.torn || t.Message != nil:
		return
	case h.kept+len(part) > mostKept:
		h.kept -= len(t.parts)
		t.parts, t.torn = nil, true
	default:
		h.kept += len(part)
		if t.parts = append(t.parts, part...); !more {
			t.Message, t.parts = t.parts, nil
		}
	}
	h.tasks[id] = t
}

func (h *Hand) forget(id string) {
	t := h.tasks[id]
	h.kept -= len(t.Message) + len(t.parts)
	delete(h.tasks, id)
}

// Early says whether a task runs that ends with its worker, and can be recorded then.
func (h *Hand) Early() bool {
	for _, t := range h.tasks {
		if !t.Late && t.Message != nil {
			return true
		}
	}
	return false
}

// Len is how many deliveries are in hand, as far as the agent can see them.
func (h *Hand) Len() int { return len(h.deliveries) }

// Runs says whether any task runs.
func (h *Hand) Runs() bool { return len(h.tasks) > 0 }

// Deliveries are those in hand that were taken before a time (Unix), in order.
func (h *Hand) Deliveries(before float64) []broker.Held {
	var list []*delivery
	for _, d := range h.deliveries {
		if d.low < before {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b *delivery) int { return int(a.order) - int(b.order) })
	running := map[broker.Tag]bool{}
	for _, t := range h.tasks {
		running[t.Tag] = true
	}
	out := make([]broker.Held, len(list))
	for i, d := range list {
		out[i] = broker.Held{Tag: d.tag, Low: d.low, High: d.high, Died: running[d.tag], Done: d.done}
	}
	return out
}

// Taken is how many deliveries and tasks were ever taken in.
func (h *Hand) Taken() uint64 { return h.taken }

// Forgotten takes out of the hand, in order, what was there when taken was its Taken, and
// is not run by a task: its worker has begun to consume anew, and knows nothing of that.
func (h *Hand) Forgotten(taken uint64) []broker.Held {
	var out []broker.Held
	for _, d := range h.Deliveries(math.Inf(1)) {
		if !d.Died && h.deliveries[d.Tag].order <= taken {
			out = append(out, d)
			delete(h.deliveries, d.Tag)
		}
	}
	return out
}

// Renewed takes in the answer to a renewal of asked, and returns those that were in
// another's hands. What was taken anew in the meantime stays as it is.
func (h *Hand) Renewed(asked []broker.Held, scores []float64) (lost []broker.Tag) {
	for i, a := range asked {
		d := h.deliveries[a.Tag]
		if i >= len(scores) || d == nil || d.low != a.Low {
			continue
		}
		switch {
		case scores[i] > 0:
			d.low, d.high = scores[i], scores[i]
		case scores[i] < 0:
			delete(h.deliveries, a.Tag)
			lost = append(lost, a.Tag)
		}
		// 0: settled, and not said so yet; or told of and not booked yet.
	}
	return lost
}

// Gone takes out of the hand, in the order of beginning, the tasks that end with a worker
// that died: those that ran and whose delivery did not go back to the broker.
func (h *Hand) Gone(returned []broker.Returned) []Task {
	back := map[broker.Tag]bool{}
	for _, r := range returned {
		back[r.Tag] = true
	}
	return h.gone(back)
}

// GoneFor is Gone, for all but what depends on whether these deliveries go back.
func (h *Hand) GoneFor(asked []broker.Held) []Task {
	back := map[broker.Tag]bool{}
	for _, a := range asked {
		back[a.Tag] = true
	}
	return h.gone(back)
}

func (h *Hand) gone(back map[broker.Tag]bool) []Task {
	var gone []Task
	for _, t := range h.tasks {
		if !t.Late && (t.Tag == "" || !back[t.Tag]) {
			gone = append(gone, t)
		}
	}
	for _, t := range gone {
		h.forget(t.ID)
	}
	slices.SortFunc(gone, func(a, b Task) int { return int(a.order) - int(b.order) })
	return gone
}

// TaskOf is the task that runs a delivery.
func (h *Hand) TaskOf(tag broker.Tag) Task {
	for _, t := range h.tasks {
		if t.Tag == tag {
			return t
		}
	}
	return Task{}
}
