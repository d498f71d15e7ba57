package celerymsg

import (
	"bytes"
	"unicode/utf8"
)

// AppendRequest appends the request that Celery's tracer wants
// (celery/worker/request.py, Request.__init__): the headers byte for byte, and
// after them what the worker adds. A header of the same name is overruled, as
// by dict.update: Python's reader lets the last of equal keys win.
func (m *Message) AppendRequest(dst []byte, hostname string) []byte {
	start := len(dst)
	dst = openObject(dst, m.Headers)
	var p props
	whole := members{text: m.Properties, pos: skipSpace(m.Properties, 0)}
	p.read(&whole)
	dst = append(dst, `"properties": `...)
	if isObject(m.Properties) {
		dst = append(dst, m.Properties...)
	} else {
		dst = append(dst, '{', '}')
	}
	dst = appendMember(dst, `, "reply_to": `, p.replyTo, "null")
	dst = appendMember(dst, `, "correlation_id": `, p.correlationID, "null")
	dst = append(dst, `, "hostname": `...)
	dst = appendQuoted(dst, hostname)
	dst = appendMember(dst, `, "delivery_info": {"exchange": `, p.exchange, "null")
	dst = appendMember(dst, `, "routing_key": `, p.routingKey, "null")
	dst = appendMember(dst, `, "priority": `, p.priority, "null")
	if m.Redelivered {
		p.redelivered = []byte("true")
	}
	dst = appendMember(dst, `, "redelivered": `, p.redelivered, "false")
	return validUTF8(append(dst, '}', '}'), start)
}

// validUTF8 replaces what is no UTF-8 behind start, as kombu does before it reads
// an envelope (kombu/utils/encoding.py, bytes_to_str): the child must be able to read it.
func validUTF8(dst []byte, start int) []byte {
	if utf8.Valid(dst[start:]) {
		return dst
	}
	return append(dst[:start], bytes.ToValidUTF8(dst[start:], []byte("\uFFFD"))...)
}

// openObject appends the object up to where its next member belongs.
func openObject(dst, text []byte) []byte {
	if !isObject(text) {
		return append(dst, '{')
	}
	text = bytes.TrimRight(text[:len(text)-1], " \t\r\n")
	dst = append(dst, text...)
	if len(text) == 1 {
		return dst
	}
	return append(dst, ',', ' ')
}

func appendMember(dst []byte, name string, value []byte, otherwise string) []byte {
	dst = append(dst, name...)
	if value == nil {
		return append(dst, otherwise...)
	}
	return append(dst, value...)
}
