package process

import "time"

// recallFor is how far back the memory before a death is looked for. The kernel counts
// its kill at once, and on a busy machine a big process takes seconds to be gone:
// what was measured meanwhile has the kill in it already.
const recallFor = 5 * time.Second

// Recall keeps what was measured of a cgroup in the last seconds, for Explain. The
// zero value has seen nothing.
type Recall struct{ seen []sighting } // the oldest first

type sighting struct {
	at     time.Time
	memory Memory
}

// Note adds a measurement. One that is older than recallFor is kept: what was counted
// then was counted before anything that is explained now.
func (r *Recall) Note(now time.Time, m Memory) {
	if m == (Memory{}) {
		return // not known
	}
	for len(r.seen) > 1 && now.Sub(r.seen[1].at) >= recallFor {
		r.seen = r.seen[1:]
	}
	r.seen = append(r.seen, sighting{now, m})
}

// Newest is the last measurement; a zero Memory: there is none.
func (r *Recall) Newest() Memory {
	if len(r.seen) == 0 {
		return Memory{}
	}
	return r.seen[len(r.seen)-1].memory
}

// Before is the memory before a death that is known now: the counts of the oldest
// measurement, and the most that was used since.
func (r *Recall) Before() Memory {
	if len(r.seen) == 0 {
		return Memory{}
	}
	before := r.seen[0].memory
	for _, s := range r.seen {
		before.Current = max(before.Current, s.memory.Current)
	}
	return before
}

// Explained: what has been counted until now is the reason of a death that has been
// told, and is not to be that of another.
func (r *Recall) Explained(now time.Time, m Memory) {
	r.seen = nil
	r.Note(now, m)
}
