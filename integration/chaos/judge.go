package main

import "time"

// settleMoment is how long after its end a late-acknowledged task may be cut off
// without the broker having heard of it: the way of the settlement. A second run after
// that is a doubled one.
//
// Where the broker could be asked, and still held the message when its worker had just
// been killed, the way took longer: a loaded machine may stop anybody on it, but not
// for more than heldMoment. An acknowledgment that is later is a defect.
const (
	settleMoment = 50 * time.Millisecond
	heldMoment   = time.Second
)

// sent is one task of a trial.
type sent struct {
	id   string
	late bool
}

// verdict counts what became of the tasks of one trial.
type verdict struct {
	Tasks    int `json:"tasks"`
	Lost     int `json:"lost"`
	Doubled  int `json:"doubled"`
	Again    int `json:"again"`    // see doc.go
	Recorded int `json:"recorded"` // cut off and recorded as failed
	Rerun    int `json:"rerun"`    // cut off and run again
	bad      []string
}

func (v *verdict) add(o verdict) {
	v.Tasks += o.Tasks
	v.Lost += o.Lost
	v.Doubled += o.Doubled
	v.Again += o.Again
	v.Recorded += o.Recorded
	v.Rerun += o.Rerun
}

// struck is the fault, and what the broker held unacknowledged right after it.
type struck struct {
	at   time.Time
	held map[string]bool // by task id; nil: it could not be asked
}

// judge applies the rules of doc.go.
func judge(tasks []sent, runs map[string][]attempt, records map[string]record, fault struck) verdict {
	v := verdict{Tasks: len(tasks)}
	for _, t := range tasks {
		starts, ends := len(runs[t.id]), endsOf(runs[t.id])
		switch {
		case len(ends) == 0 && records[t.id].state == failure:
			v.Recorded++
		case len(ends) == 0:
			v.Lost++
			v.bad = append(v.bad, "lost "+t.id)
		}
		switch {
		case !t.late && starts > 1:
			v.Doubled++
			v.bad = append(v.bad, "doubled "+t.id)
		case t.late && len(ends) > 1 && unheard(t.id, ends[0], records[t.id], fault):
			v.Again++
		case t.late && len(ends) > 1:
			v.Doubled++
			v.bad = append(v.bad, "doubled "+t.id)
		case t.late && starts > 1:
			v.Rerun++
		}
	}
	return v
}

func endsOf(runs []attempt) []time.Time {
	var ends []time.Time
	for _, r := range runs {
		if !r.end.IsZero() {
			ends = append(ends, r.end)
		}
	}
	return ends
}

// unheard: the fault struck when the broker did not know of this end: it was a
// moment ago, or the child had not even stored its result, which it does before it
// reports, or the broker still held the message.
func unheard(id string, end time.Time, seen record, fault struck) bool {
	since := fault.at.Sub(end)
	stored := seen.state == success && seen.at.Before(fault.at)
	return since > -settleMoment && (since < settleMoment || !stored || fault.held[id] && since < heldMoment)
}
