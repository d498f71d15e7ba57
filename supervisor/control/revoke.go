package control

import (
	"encoding/json"
	"slices"
	"strings"
)

// revoke flags ids; those that are active here may be terminated too. Of the others
// the backend is told, by Celery's own code (since 5.6).
func revoke(w World, m Mail) Answer {
	ids := unique(listOf(m.Arguments["task_id"]))
	// Celery: what is to be terminated is not said to be flagged (worker/control.py, _revoke).
	a := Answer{}.do(Revoke{IDs: ids, Quiet: m.flag("terminate")})
	active := w.Active()
	if others := inactive(ids, active); len(others) > 0 {
		a.Python = &Question{Op: "mark_revoked", IDs: others}
	}
	if !m.flag("terminate") {
		a.Reply = ok("tasks " + reprSet(ids) + " flagged as revoked").Reply
		return a
	}
	signal, problem := signalOf(w, m)
	if problem != nil {
		return problem.do(a.Actions...)
	}
	return terminated(a, w, ids, signal)
}

func terminate(w World, m Mail) Answer {
	arguments := map[string]json.RawMessage{"task_id": m.Arguments["task_id"], "signal": m.Arguments["signal"], "terminate": json.RawMessage("true")}
	return revoke(w, Mail{Method: "revoke", Arguments: arguments})
}

// terminated adds what ends the children of active tasks. What is reserved will
// not start, as it is revoked; Celery says of it that it is terminated, too.
func terminated(a Answer, w World, ids []string, signal string) Answer {
	var hit []string
	for _, t := range w.Active() {
		if slices.Contains(ids, t.ID) {
			a = a.do(Terminate{Handle: t.Handle, ID: t.ID, Signal: signal})
			hit = append(hit, t.ID)
		}
	}
	for _, t := range append(w.Reserved(), w.Scheduled()...) {
		if slices.Contains(ids, t.ID) && !slices.Contains(hit, t.ID) {
			a = a.do(Terminate{ID: t.ID, Signal: signal})
			hit = append(hit, t.ID)
		}
	}
	if len(hit) == 0 {
		a.Reply = ok("terminate: tasks unknown").Reply
		return a
	}
	a.Reply = ok("terminate: " + strings.Join(hit, ", ")).Reply
	return a
}

// signalOf is the signal's name: SIGTERM unless the mail says another
// (celery/platforms.py, Signals.signum).
func signalOf(w World, m Mail) (name string, problem *Answer) {
	raw := m.Arguments["signal"]
	if len(raw) == 0 || string(raw) == "null" || string(raw) == `""` {
		return "SIGTERM", nil
	}
	name = m.text("signal")
	if name == "" || strings.ToUpper(name) != name {
		a := raises("TypeError", "signal name must be uppercase string.")
		return "", &a
	}
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if _, known := w.Signal(name); !known {
		a := nok("AttributeError(" + Repr("module 'signal' has no attribute "+Repr(name)) + ")")
		return "", &a
	}
	return name, nil
}

func inactive(ids []string, active []Task) (others []string) {
	for _, id := range ids {
		if !slices.ContainsFunc(active, func(t Task) bool { return t.ID == id }) {
			others = append(others, id)
		}
	}
	return others
}

func unique(ids []string) (once []string) {
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			once = append(once, id)
		}
	}
	return once
}

// stamp is one header of revoke_by_stamped_headers, in the order of the mail.
type stamp struct {
	name   string
	values []string
}

// revokeByStamps flags what carries a stamp, and ends what carries it and runs.
func revokeByStamps(w World, m Mail) Answer {
	signal, problem := signalOf(w, m)
	if problem != nil {
		return *problem
	}
	stamps, text := stampsOf(m.Arguments["headers"])
	var a Answer
	for _, s := range stamps {
		a = a.do(RevokeStamps{Stamp: s.name, Values: s.values})
	}
	if !m.flag("terminate") {
		a.Reply = ok("headers " + text + " flagged as revoked, but not terminated").Reply
		return a
	}
	var matched []stamp
	hit := map[uint64]bool{}
	for _, t := range w.Active() {
		for _, s := range stamps {
			values := common(s.values, t.Stamps[s.name])
			if len(values) == 0 {
				continue
			}
			matched = merge(matched, s.name, values)
			if !hit[t.Handle] {
				hit[t.Handle] = true
				a = a.do(Terminate{Handle: t.Handle, ID: t.ID, Signal: signal})
			}
		}
	}
	if len(matched) == 0 {
		a.Reply = ok("headers " + text + " were not terminated").Reply
		return a
	}
	a.Reply = ok("headers " + reprMatched(matched) + " revoked").Reply
	return a
}

// stampsOf reads {"name": value or list}, or ["name=value"] of the command line, and
// says what Python would print of it.
func stampsOf(value json.RawMessage) (stamps []stamp, text string) {
	if pairs := listOf(value); pairs != nil {
		var printed []string
		for _, pair := range pairs {
			name, rest, _ := strings.Cut(pair, "=")
			first, _, _ := strings.Cut(rest, "=")
			stamps = append(stamps, stamp{name, []string{first}})
			printed = append(printed, Repr(name)+": "+Repr(first))
		}
		return stamps, "{" + strings.Join(printed, ", ") + "}"
	}
	var byName map[string]json.RawMessage
	_ = json.Unmarshal(value, &byName) // anything else revokes nothing
	for name, values := range byName {
		stamps = append(stamps, stamp{name, Scalars(values)})
	}
	slices.SortFunc(stamps, func(a, b stamp) int { return strings.Compare(a.name, b.name) })
	return stamps, ReprJSON(value)
}

// Scalars reads a stamp: a list of values or one; what is no text is as its JSON.
func Scalars(value json.RawMessage) (texts []string) {
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil {
		list = []json.RawMessage{value}
	}
	for _, v := range list {
		var s string
		if json.Unmarshal(v, &s) == nil && string(v) != "null" {
			texts = append(texts, s)
		} else if len(v) > 0 && string(v) != "null" {
			texts = append(texts, string(v))
		}
	}
	return texts
}

func common(a, b []string) (both []string) {
	for _, v := range a {
		if slices.Contains(b, v) {
			both = append(both, v)
		}
	}
	return both
}

func merge(matched []stamp, name string, values []string) []stamp {
	for i := range matched {
		if matched[i].name == name {
			matched[i].values = unique(append(matched[i].values, values...))
			return matched
		}
	}
	return append(matched, stamp{name, values})
}

// reprMatched prints the defaultdict that Celery gathers them in.
func reprMatched(matched []stamp) string {
	var members []string
	for _, s := range matched {
		members = append(members, Repr(s.name)+": "+reprSet(s.values))
	}
	return "defaultdict(<class 'set'>, {" + strings.Join(members, ", ") + "})"
}
