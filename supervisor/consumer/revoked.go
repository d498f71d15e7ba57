package consumer

import (
	"encoding/json"
	"strings"
	"time"

	"crisper/broker/celerymsg"
)

// Celery's bounds of the revoked set (celery/worker/state.py:66-78).
const (
	defaultRevokesMax    = 50_000
	defaultRevokeExpires = 10_800 * time.Second
)

// RevokedSet is a set of ids that forgets: the oldest when there are too many,
// and with them those that were revoked long ago. As in Celery's LimitedSet
// age counts only once the set is full.
type RevokedSet struct {
	max     int
	expires time.Duration
	since   map[string]mark
	order   []string // of adding; ids that were added again stand in it twice
	first   int      // where order begins; what is before has been purged
	changes int
}

// mark is when an id was added, and its place in the order.
type mark struct {
	at    time.Time
	place int
}

// NewRevokedSet returns an empty set; 0 means Celery's bounds.
func NewRevokedSet(limit int, expires time.Duration) *RevokedSet {
	if limit == 0 {
		limit = defaultRevokesMax
	}
	if expires == 0 {
		expires = defaultRevokeExpires
	}
	return &RevokedSet{max: limit, expires: expires, since: make(map[string]mark)}
}

// Has tells whether an id is revoked.
func (r *RevokedSet) Has(id string) bool {
	if len(r.since) == 0 {
		return false
	}
	_, ok := r.since[id]
	return ok
}

// Len is how many ids are revoked.
func (r *RevokedSet) Len() int { return len(r.since) }

// Add revokes an id, or revokes it anew.
func (r *RevokedSet) Add(now time.Time, id string) {
	id = strings.Clone(id) // it may be a part of a whole message
	r.changes++
	r.since[id] = mark{at: now, place: len(r.order)}
	r.order = append(r.order, id)
	if len(r.since) >= r.max {
		r.purge(now)
	}
	if len(r.order)-r.first > 2*len(r.since)+64 {
		r.compact()
	}
}

// Remove takes an id out.
func (r *RevokedSet) Remove(id string) { delete(r.since, id) }

// Changes grows with each Add.
func (r *RevokedSet) Changes() int { return r.changes }

// IDs lists the ids, oldest first.
func (r *RevokedSet) IDs() []string {
	r.compact()
	return append([]string(nil), r.order...)
}

// purge drops the oldest above the limit, then all that are too old.
func (r *RevokedSet) purge(now time.Time) {
	for ; r.first < len(r.order); r.first++ {
		id := r.order[r.first]
		m, ok := r.since[id]
		if !ok || m.place != r.first {
			continue // removed, or added again since
		}
		if len(r.since) <= r.max && m.at.Add(r.expires).After(now) {
			return
		}
		delete(r.since, id)
	}
}

// compact leaves each id once in the order, at its newest place.
func (r *RevokedSet) compact() {
	kept := make([]string, 0, len(r.since))
	for i := r.first; i < len(r.order); i++ {
		if m, ok := r.since[r.order[i]]; ok && m.place == i {
			kept = append(kept, r.order[i])
		}
	}
	for i, id := range kept {
		m := r.since[id]
		m.place = i
		r.since[id] = m
	}
	r.order, r.first = kept, 0
}

// RevokeStamps revokes all tasks that carry one of these values under this stamp.
func (c *Consumer) RevokeStamps(stamp string, values ...string) {
	if c.stamps[stamp] == nil {
		c.stamps[stamp] = make(map[string]bool, len(values))
	}
	for _, v := range values {
		c.stamps[stamp][v] = true
	}
}

// revokedStamp names the stamp that revokes a message (request.py:481-502).
func (c *Consumer) revokedStamp(m *celerymsg.Message) string {
	var names []string
	if json.Unmarshal(m.StampedHeaders, &names) != nil {
		return ""
	}
	var headers struct {
		Stamps map[string]json.RawMessage `json:"stamps"`
	}
	for _, name := range names {
		if c.stamps[name] == nil {
			continue
		}
		if headers.Stamps == nil && json.Unmarshal(m.Headers, &headers) != nil {
			return ""
		}
		for _, v := range scalars(headers.Stamps[name]) {
			if c.stamps[name][v] {
				return name + "=" + v
			}
		}
	}
	return ""
}

// scalars reads a stamp: a list of values or one. Strings are compared as they
// are, other values as their JSON.
func scalars(text json.RawMessage) (values []string) {
	var list []json.RawMessage
	if json.Unmarshal(text, &list) != nil {
		list = []json.RawMessage{text}
	}
	for _, v := range list {
		var s string
		if json.Unmarshal(v, &s) == nil && string(v) != "null" {
			values = append(values, s)
		} else if len(v) > 0 && string(v) != "null" {
			values = append(values, string(v))
		}
	}
	return values
}
