package celerymsg

import (
	"bytes"
	"encoding/json"
)

// legacy holds the texts of a body of protocol 1, which is an object.
type legacy struct {
	fields
	args, kwargs, taskset, callbacks, errbacks, chord []byte
}

// isHybrid: a protocol 2 header with a protocol 1 body
// (celery/worker/strategy.py:132-146).
func isHybrid(body, contentType []byte) bool {
	if string(contentType) != `"application/json"` || !isObject(bytes.TrimLeft(body, " \t\r\n")) {
		return false
	}
	return member(body, "args") != nil
}

// convert turns a message of protocol 1, or the hybrid, into one of protocol 2,
// as celery/worker/strategy.py does: the members of the body become headers.
func (m *Message) convert(e *envelope) {
	m.set(e)
	m.Kind, m.Problem = Protocol1, ""
	switch {
	case m.Headers != nil && !isObject(m.Headers):
		m.fail(Unknown, "the headers are not an object")
		return
	case m.ContentType != "application/json":
		// Celery would decode it, if its type is accepted; that takes Python.
		m.fail(Unknown, "no task in the headers, and a body of type "+clip(m.ContentType, 60)+" is not looked into")
		return
	}
	at := skipSpace(m.Body, 0)
	end := skipValue(m.Body, at, 0)
	if end == bad || skipSpace(m.Body, end) != len(m.Body) {
		m.fail(Undecodable, "the body is not JSON")
		return
	}
	l := readLegacy(m.Body[at:end])
	if l.task == nil && e.task == nil {
		m.fail(Unknown, "neither headers nor body name a task")
		return
	}
	headers := l.headers(m.Body[at:end], m.Headers)
	l.fields.merge(&e.fields)
	e.fields = l.fields
	m.Kind = Protocol1
	m.set(e)
	if l.kwargs != nil && !isObject(l.kwargs) {
		m.Problem = "Task keyword arguments must be a mapping"
		return
	}
	m.Headers, m.Body = headers, l.body()
	m.ArgsRepr, m.KwargsRepr = repr(l.args, "()"), repr(l.kwargs, "{}")
	m.ContentType, m.ContentEncoding = "application/json", "utf-8"
}

func readLegacy(text []byte) (l legacy) {
	it := object(text)
	for it.next() {
		value := it.value()
		switch string(it.key) {
		case "args":
			l.args = value
		case "kwargs":
			l.kwargs = value
		case "taskset":
			l.taskset = value
			l.group = notNull(value)
		case "callbacks":
			l.callbacks = value
		case "errbacks":
			l.errbacks = value
		case "chord":
			l.chord = value
		default:
			l.fields.header(it.key, value)
		}
	}
	return l
}

// merge lets what the headers say overrule the body (hybrid_to_proto2). A v1
// message has none of these in its headers.
func (f *fields) merge(h *fields) {
	for _, pair := range [...]struct{ body, header *[]byte }{
		{&f.task, &h.task}, {&f.id, &h.id}, {&f.shadow, &h.shadow}, {&f.rootID, &h.rootID},
		{&f.parentID, &h.parentID}, {&f.group, &h.group}, {&f.eta, &h.eta}, {&f.expires, &h.expires},
		{&f.retries, &h.retries}, {&f.timelimit, &h.timelimit}, {&f.ignoreResult, &h.ignoreResult},
		{&f.argsrepr, &h.argsrepr}, {&f.kwargsrepr, &h.kwargsrepr}, {&f.stampedHeaders, &h.stampedHeaders},
		{&f.redelivered, &h.redelivered}, {&f.deaths, &h.deaths},
	} {
		if *pair.header != nil {
			*pair.body = *pair.header
		}
	}
}

// headers is the body with what Celery adds to it, and with our own headers.
func (l *legacy) headers(body, headers []byte) []byte {
	out := openObject(make([]byte, 0, len(body)+len(headers)+256), bytes.TrimSpace(body))
	if l.taskset != nil {
		out = appendMember(out, `"group": `, l.taskset, "null")
		out = append(out, ',', ' ')
	}
	out = append(out, `"argsrepr": `...)
	out = appendQuoted(out, repr(l.args, "()"))
	out = append(out, `, "kwargsrepr": `...)
	out = appendQuoted(out, repr(l.kwargs, "{}"))
	if inside := bytes.TrimSpace(headers); len(inside) > 2 {
		out = append(out, ',', ' ')
		out = append(out, bytes.TrimSpace(inside[1:len(inside)-1])...)
	}
	out = appendMember(out, `, "headers": `, headers, "{}")
	return append(out, '}')
}

func (l *legacy) body() []byte {
	out := appendMember([]byte{'['}, "", l.args, "[]")
	out = appendMember(out, ", ", l.kwargs, "{}")
	out = appendMember(out, `, {"callbacks": `, l.callbacks, "null")
	out = appendMember(out, `, "errbacks": `, l.errbacks, "null")
	out = appendMember(out, `, "chord": `, l.chord, "null")
	return append(out, `, "chain": null}]`...)
}

// repr shows arguments to people.
// Celery: saferepr, in Python's notation; here it is the JSON, compact.
func repr(text []byte, absent string) string {
	if text == nil {
		return absent
	}
	var out bytes.Buffer
	if json.Compact(&out, text) != nil {
		out.Reset() // NaN, which only Python calls JSON
		out.Write(text)
	}
	return clip(out.String(), 1024)
}
