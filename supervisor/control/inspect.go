package control

import (
	"encoding/json"
	"slices"
)

// hello is mingling: what is revoked, and how late it is. Workers before 5.7 send
// a dict with times; only its keys matter, other clocks say nothing here.
func hello(w World, m Mail) Answer {
	if m.text("from_node") == w.Hostname() {
		return Answer{}
	}
	ids := RevokedIDs(m.Arguments["revoked"])
	known := unique(append(w.Revoked(), ids...)) // what it told us is ours by then
	a := Answer{Reply: map[string]any{"revoked": list(known), "clock": w.Forward()}}
	if len(ids) > 0 {
		a = a.do(Revoke{IDs: ids, Quiet: true})
	}
	return a
}

// RevokedIDs reads revoked ids from another worker: a list since 5.7, before that a
// dict of id to time.
func RevokedIDs(text json.RawMessage) []string {
	if ids := listOf(text); ids != nil {
		return ids
	}
	var byID map[string]json.RawMessage
	if json.Unmarshal(text, &byID) != nil {
		return nil
	}
	ids := make([]string, 0, len(byID))
	for id := range byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func active(w World, m Mail) Answer {
	tasks := w.Active()
	if m.flag("safe") {
		for i := range tasks {
			tasks[i].Args, tasks[i].Kwargs = jsonText(tasks[i].ArgsRepr), jsonText(tasks[i].KwargsRepr)
		}
	}
	return Answer{Reply: list(tasks)}
}

func jsonText(s string) json.RawMessage {
	text, _ := json.Marshal(s) // a string always has a JSON form
	return text
}

// waiting is an entry of scheduled.
type waiting struct {
	ETA      string `json:"eta"`
	Priority int    `json:"priority"`
	Request  Task   `json:"request"`
}

// etaPriority is the timer's, always the same (celery/worker/strategy.py).
const etaPriority = 6

func scheduled(w World, _ Mail) Answer {
	out := []waiting{}
	for _, t := range w.Scheduled() {
		out = append(out, waiting{ETA: t.ETA, Priority: etaPriority, Request: t})
	}
	return Answer{Reply: out}
}

// queryTask finds tasks by id, wherever we have them.
func queryTask(w World, m Mail) Answer {
	wanted := listOf(m.Arguments["ids"])
	found := map[string][2]any{}
	for _, place := range []struct {
		name  string
		tasks []Task
	}{{"scheduled", w.Scheduled()}, {"reserved", w.Reserved()}, {"active", w.Active()}} {
		for _, t := range place.tasks {
			if slices.Contains(wanted, t.ID) {
				found[t.ID] = [2]any{place.name, t}
			}
		}
	}
	return Answer{Reply: found}
}
