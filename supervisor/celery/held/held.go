package held

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"crisper/broker"
)

// Hand is what one worker holds. The zero value holds nothing.
type Hand struct {
	taken      uint64 // deliveries ever taken
	deliveries map[broker.Tag]*delivery
	tasks      map[string]Task // by id, those that run
}

type delivery struct {
	order     uint64
	tag       broker.Tag
	low, high float64
}

// Task is one that runs.
type Task struct {
	ID, Name string
	Tag      broker.Tag // "": not known
	Late     bool       // acknowledged late
	order    uint64
}

// Line takes in what the agent told. took says that a delivery was taken.
func (h *Hand) Line(text []byte) (took bool, err error) {
	var fields []json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return false, fmt.Errorf("cannot read a line: %w", err)
	}
	r := reader{fields: fields}
	what, at := "", 0.0
	r.next(&what)
	r.next(&at)
	switch what {
	case "t", "k", "s":
		tag := r.tag()
		if r.err == nil {
			h.delivery(what, at, tag)
		}
		return what == "t", r.err
	case "a":
		t, late := Task{Tag: r.tag()}, 0
		r.next(&t.ID)
		r.next(&t.Name)
		r.next(&late)
		t.Late = late != 0
		if r.err == nil {
			h.began(t)
		}
	case "e":
		id := ""
		if r.next(&id); r.err == nil {
			delete(h.tasks, id)
		}
	default:
		return false, fmt.Errorf("cannot read a line: %q is unknown", what)
	}
	return false, r.err
}

func (h *Hand) delivery(what string, at float64, tag broker.Tag) {
	switch d := h.deliveries[tag]; {
	case what == "t":
		if h.deliveries == nil {
			h.deliveries = map[broker.Tag]*delivery{}
		}
		h.taken++
		h.deliveries[tag] = &delivery{order: h.taken, tag: tag, low: at}
	case d == nil:
	case what == "k":
		d.high = max(at, d.low)
	default:
		delete(h.deliveries, tag)
	}
}

func (h *Hand) began(t Task) {
	if h.tasks == nil {
		h.tasks = map[string]Task{}
	}
	h.taken++
	t.order = h.taken
	h.tasks[t.ID] = t
}

// Len is how many deliveries are in hand, as far as the agent can see them.
func (h *Hand) Len() int { return len(h.deliveries) }

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
		out[i] = broker.Held{Tag: d.tag, Low: d.low, High: d.high, Died: running[d.tag]}
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

// Gone are the tasks that end with a worker that died: those that ran and whose
// delivery did not go back to the broker, in the order of beginning.
func (h *Hand) Gone(returned []broker.Returned) []Task {
	back := map[broker.Tag]bool{}
	for _, r := range returned {
		back[r.Tag] = true
	}
	var gone []Task
	for _, t := range h.tasks {
		if !t.Late && (t.Tag == "" || !back[t.Tag]) {
			gone = append(gone, t)
		}
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

// reader takes fields one after the other and keeps the first error.
type reader struct {
	fields []json.RawMessage
	err    error
}

func (r *reader) next(into any) {
	if r.err != nil {
		return
	}
	if len(r.fields) == 0 {
		r.err = errors.New("cannot read a line: it is too short")
		return
	}
	if err := json.Unmarshal(r.fields[0], into); err != nil {
		r.err = fmt.Errorf("cannot read a line: %w", err)
	}
	r.fields = r.fields[1:]
}

// tag: Redis has text, RabbitMQ numbers, others nothing.
func (r *reader) tag() broker.Tag {
	var raw json.RawMessage
	r.next(&raw)
	var text string
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	return broker.Tag(text)
}
