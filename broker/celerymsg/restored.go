package celerymsg

import "strconv"

// MarkRestored returns the envelope with the marks that kombu's restore gives it
// (kombu/transport/redis.py, _do_restore_message): redelivered in the headers and
// in the delivery_info. deaths > 0 is kept in a header of ours. Every other byte
// stays as it is, so that marking again changes nothing. Where there are no
// headers or there is no delivery_info nothing is added, as in kombu; what is no
// envelope comes back as it was. raw is not modified.
func MarkRestored(raw []byte, deaths int) []byte {
	var e envelope
	if !e.read(raw) {
		return raw
	}
	info := member(e.properties, "delivery_info")
	var edits [3]edit
	n := 0
	add := func(object []byte, key, value string) {
		if isObject(object) {
			edits[n] = putMember(raw, object, key, value)
			n++
		}
	}
	add(e.headers, "redelivered", "true")
	if deaths > 0 {
		add(e.headers, DeathsHeader, strconv.Itoa(deaths))
	}
	add(info, "redelivered", "true")
	return apply(raw, edits[:n])
}

// member is the text of a member of an object, nil when there is none.
func member(text []byte, name string) (found []byte) {
	it := object(text)
	for it.next() {
		if value := it.value(); string(it.key) == name {
			found = value
		}
	}
	return found
}

// edit replaces raw[from:to]. Pieces are put together without a comma in between.
type edit struct {
	from, to int
	comma    bool // there are members before it
	key      string
	value    string
}

// putMember replaces the value that counts, or adds a member at the end.
func putMember(raw, obj []byte, name, value string) edit {
	base := offset(raw, obj)
	e := edit{value: value}
	it := object(obj)
	for it.next() {
		old := it.value()
		e.comma = true
		if string(it.key) == name {
			e.from = base + offset(obj, old)
			e.to = e.from + len(old)
		}
	}
	if e.to == 0 {
		e.from, e.to = base+len(obj)-1, base+len(obj)-1
		e.key = name
	}
	return e
}

// offset is where part, a subslice of whole, begins in it: both end with the
// same underlying array.
func offset(whole, part []byte) int { return cap(whole) - cap(part) }

// apply carries out the edits. Additions to the same object keep their order.
func apply(raw []byte, edits []edit) []byte {
	room := 0
	for i := range edits {
		room += len(edits[i].key) + len(edits[i].value) + len(`, "": `)
		for j := i; j > 0 && edits[j].from < edits[j-1].from; j-- {
			edits[j], edits[j-1] = edits[j-1], edits[j]
		}
	}
	out := make([]byte, 0, len(raw)+room)
	pos := 0
	for i, e := range edits {
		out = append(out, raw[pos:e.from]...)
		pos = e.to
		if e.key != "" {
			if e.comma || i > 0 && edits[i-1].from == e.from {
				out = append(out, ", "...)
			}
			out = append(out, '"')
			out = append(out, e.key...)
			out = append(out, `": `...)
		}
		out = append(out, e.value...)
	}
	return append(out, raw[pos:]...)
}
