package main

import "time"

// tolerance is what is taken for the machine's doing and not for the worker's.
type tolerance struct {
	// settle is how long after its end a late-acknowledged task may be cut off
	// without the broker having heard of it: the way of the settlement. A second run
	// after that is a doubled one.
	settle time.Duration
	// held is the same where the broker could be asked, and still had the message when
	// a process had just been killed: a loaded machine may stop anybody on the way, but
	// not for longer. An acknowledgment that is later is a defect.
	held time.Duration
	// tree is how long a killed supervisor's processes may outlive it, and leave how
	// long after its grace a worker may be seen to end.
	tree, leave time.Duration
	// times is what the patience of a row is multiplied with.
	times time.Duration
}

var (
	strict = tolerance{settle: 50 * time.Millisecond, held: time.Second, tree: time.Second, times: 1}
	// onABusyMachine is for runs that look for lost and doubled tasks, not for times,
	// where others may take the processor away for a second and more.
	onABusyMachine = tolerance{settle: 500 * time.Millisecond, held: 5 * time.Second, tree: 15 * time.Second, leave: 5 * time.Second, times: 3}
)

// sent is one task of a trial.
type sent struct {
	id   string
	late bool
}

// verdict counts what became of the tasks of one trial.
type verdict struct {
	Tasks   int `json:"tasks"`
	Lost    int `json:"lost"`
	Doubled int `json:"doubled"`
	// Of these, the late-acknowledged ones.
	LostLate    int `json:"lost_late"`
	DoubledLate int `json:"doubled_late"`
	// Not among these: what Celery's own client did, by evidence (wire.go).
	CelerysLost    int `json:"celerys_lost,omitempty"`
	CelerysDoubled int `json:"celerys_doubled,omitempty"`

	Again    int `json:"again"`    // see doc.go
	Recorded int `json:"recorded"` // cut off and recorded as failed
	Rerun    int `json:"rerun"`    // cut off and run again
	bad      []string
}

func (v *verdict) add(o verdict) {
	v.Tasks += o.Tasks
	v.Lost += o.Lost
	v.Doubled += o.Doubled
	v.LostLate += o.LostLate
	v.DoubledLate += o.DoubledLate
	v.CelerysLost += o.CelerysLost
	v.CelerysDoubled += o.CelerysDoubled
	v.Again += o.Again
	v.Recorded += o.Recorded
	v.Rerun += o.Rerun
}

// struck is the fault, and what the broker still had right after it.
type struck struct {
	at   time.Time
	held map[string]bool // by task id; nil: it could not be asked

	tolerance tolerance
	evidence  evidence // zero: nothing is excused
}

// evidence tells which tasks were lost or doubled by Celery's own client.
type evidence struct {
	lost, doubled func(id string) bool
}

func (e evidence) excusesLoss(id string) bool     { return e.lost != nil && e.lost(id) }
func (e evidence) excusesDoubling(id string) bool { return e.doubled != nil && e.doubled(id) }

// judge applies the rules of doc.go.
func judge(tasks []sent, runs map[string][]attempt, records map[string]record, fault struck) verdict {
	v := verdict{Tasks: len(tasks)}
	for _, t := range tasks {
		starts, ends := len(runs[t.id]), endsOf(runs[t.id])
		switch {
		case len(ends) == 0 && records[t.id].state == failure:
			v.Recorded++
		case len(ends) == 0 && fault.evidence.excusesLoss(t.id):
			v.CelerysLost++
		case len(ends) == 0:
			v.Lost++
			v.LostLate += one(t.late)
			v.bad = append(v.bad, "lost "+t.id)
		}
		switch {
		case t.late && len(ends) > 1 && unheard(t.id, ends[0], records[t.id], fault):
			v.Again++
		case (starts > 1 && !t.late || len(ends) > 1) && fault.evidence.excusesDoubling(t.id):
			v.CelerysDoubled++
		case !t.late && starts > 1:
			v.Doubled++
			v.bad = append(v.bad, "doubled "+t.id)
		case t.late && len(ends) > 1:
			v.Doubled++
			v.DoubledLate++
			v.bad = append(v.bad, "doubled "+t.id)
		case t.late && starts > 1:
			v.Rerun++
		}
	}
	return v
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
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

// unheard: the fault struck when the broker did not know of this end. Where it could be
// asked, it says so itself; elsewhere it was a moment ago, or the child had not even
// stored its result, which it does before it reports.
func unheard(id string, end time.Time, seen record, fault struck) bool {
	since, allow := fault.at.Sub(end), fault.tolerance
	if since <= -allow.settle {
		return false
	}
	stored := seen.state == success && seen.at.Before(fault.at)
	if fault.held != nil {
		return since < strict.settle || fault.held[id] && (since < allow.held || !stored)
	}
	return since < allow.settle || !stored
}
