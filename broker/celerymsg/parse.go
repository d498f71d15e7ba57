package celerymsg

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// DeathsHeader is our header: how many children died while running the message.
const DeathsHeader = "x-crisper-deaths"

// ParseEnvelope reads kombu's Redis envelope. It never fails: what cannot be
// read has a Kind and a Problem. It allocates the decoded body, and one string
// that all the text fields share, so that a Message's fields do not keep Raw alive.
func ParseEnvelope(raw []byte) Message {
	m := Message{Raw: raw}
	e, ok := readEnvelope(raw)
	if !ok {
		return m.fail(Undecodable, "the envelope is not a JSON object")
	}
	m.Headers, m.Properties = e.headers, e.properties
	p := readProperties(e.properties)
	body, problem := decodeBody(e.body, p.bodyEncoding)
	if problem != "" {
		m.setTexts(&fields{contentType: e.contentType, contentEncoding: e.contentEncoding}, &p)
		return m.fail(Undecodable, problem)
	}
	m.Body = body
	h := readHeaders(e.headers)
	h.contentType, h.contentEncoding = e.contentType, e.contentEncoding
	if h.task == nil || isHybrid(body, e.contentType) {
		return m.convert(&h, &p)
	}
	m.set(&h, &p)
	return m
}

func (m *Message) fail(k Kind, problem string) Message {
	m.Kind, m.Problem = k, problem
	return *m
}

// envelope holds the texts of the top-level members; nil when absent or null.
// Of keys that stand twice the last wins, as in Python.
type envelope struct {
	body, headers, properties, contentType, contentEncoding []byte
}

func readEnvelope(raw []byte) (e envelope, ok bool) {
	it := object(raw)
	for {
		key, value, more := it.next()
		if !more {
			break
		}
		switch string(key) {
		case "body":
			e.body = notNull(value)
		case "headers":
			e.headers = notNull(value)
		case "properties":
			e.properties = notNull(value)
		case "content-type":
			e.contentType = notNull(value)
		case "content-encoding":
			e.contentEncoding = notNull(value)
		}
	}
	it.space()
	return e, !it.bad && it.pos == len(raw)
}

func notNull(text []byte) []byte {
	if string(text) == "null" {
		return nil
	}
	return text
}

func isString(text []byte) bool { return len(text) > 0 && text[0] == '"' }
func isObject(text []byte) bool { return len(text) > 0 && text[0] == '{' }

// properties holds the texts of the members that are read.
type properties struct {
	bodyEncoding, replyTo, correlationID, priority []byte
	exchange, routingKey, redelivered              []byte
}

func readProperties(text []byte) (p properties) {
	var info []byte
	it := object(text)
	for {
		key, value, more := it.next()
		if !more {
			break
		}
		switch string(key) {
		case "body_encoding":
			p.bodyEncoding = notNull(value)
		case "reply_to":
			p.replyTo = value
		case "correlation_id":
			p.correlationID = value
		case "priority":
			p.priority = value
		case "delivery_info":
			info = value
		}
	}
	it = object(info)
	for {
		key, value, more := it.next()
		if !more {
			break
		}
		switch string(key) {
		case "exchange":
			p.exchange = value
		case "routing_key":
			p.routingKey = value
		case "redelivered":
			p.redelivered = value
		}
	}
	return p
}

// decodeBody undoes the transport's encoding (kombu/transport/virtual/base.py:814-822).
func decodeBody(text, encoding []byte) (body []byte, problem string) {
	if text == nil {
		return nil, ""
	}
	if !isString(text) {
		return nil, "the body is not a string"
	}
	switch {
	case encoding == nil:
		return inner(text), ""
	case string(encoding) == `"base64"`:
		return decodeBase64(inner(text))
	default:
		return nil, "the body has an unknown transport encoding: " + clip(string(encoding), 40)
	}
}

func decodeBase64(text []byte) (body []byte, problem string) {
	body = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(body, text)
	if err != nil {
		// Python leaves out what is not of the alphabet (base64.b64decode).
		clean := make([]byte, 0, len(text))
		for _, c := range text {
			if isBase64(c) {
				clean = append(clean, c)
			}
		}
		if n, err = base64.StdEncoding.Decode(body, clean); err != nil {
			return nil, "the body is not base64"
		}
	}
	return body[:n:n], ""
}

func isBase64(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '='
}

// fields holds the texts of the headers that are read; nil when absent, null
// where null means the same.
type fields struct {
	task, id, shadow, rootID, parentID, group, eta, expires []byte
	retries, timelimit, ignoreResult, argsrepr, kwargsrepr  []byte
	stampedHeaders, redelivered, deaths                     []byte
	contentType, contentEncoding                            []byte
}

func readHeaders(text []byte) (f fields) {
	it := object(text)
	for {
		key, value, more := it.next()
		if !more {
			return f
		}
		f.header(key, value)
	}
}

func (f *fields) header(key, value []byte) {
	switch string(key) {
	case "task":
		f.task = value // null is a name too, if one that nobody registered
	case "id":
		f.id = notNull(value)
	case "shadow":
		f.shadow = notNull(value)
	case "root_id":
		f.rootID = notNull(value)
	case "parent_id":
		f.parentID = notNull(value)
	case "group":
		f.group = notNull(value)
	case "eta":
		f.eta = notNull(value)
	case "expires":
		f.expires = notNull(value)
	case "retries":
		f.retries = value
	case "timelimit":
		f.timelimit = notNull(value)
	case "ignore_result":
		f.ignoreResult = value
	case "argsrepr":
		f.argsrepr = notNull(value)
	case "kwargsrepr":
		f.kwargsrepr = notNull(value)
	case "stamped_headers":
		f.stampedHeaders = notNull(value)
	case "redelivered":
		f.redelivered = value
	case DeathsHeader:
		f.deaths = value
	}
}

// set fills in everything that is read from headers and properties.
func (m *Message) set(f *fields, p *properties) {
	m.setTexts(f, p)
	m.Retries = number(f.retries)
	m.Priority = number(p.priority)
	m.Deaths = max(0, number(f.deaths))
	m.Redelivered = string(f.redelivered) == "true" || string(p.redelivered) == "true"
	m.StampedHeaders = f.stampedHeaders
	m.IgnoreResult = truth(f.ignoreResult)
	ok := true
	if m.HardLimit, m.SoftLimit, ok = limits(f.timelimit); !ok {
		m.Problem = "invalid time limits " + clip(string(f.timelimit), 40)
	}
	m.check(f)
}

// check says why a message that names a task cannot be run all the same.
func (m *Message) check(f *fields) {
	switch {
	case !isString(f.task):
		m.Kind, m.Problem = Unknown, "the task name is not a string"
	case f.id == nil:
		m.Problem = "the message has no id"
	case !isString(f.id):
		m.Problem = "the id is not a string"
	case f.eta != nil && !isString(f.eta):
		m.Problem = fmt.Sprintf("invalid ETA value %s: not a string", clip(string(f.eta), 40))
	case f.expires != nil && !isString(f.expires):
		m.Problem = fmt.Sprintf("invalid expires value %s: not a string", clip(string(f.expires), 40))
	}
}

// setTexts gives all text fields one allocation of their own.
func (m *Message) setTexts(f *fields, p *properties) {
	texts := [...]struct {
		dst *string
		src []byte
	}{
		{&m.Task, f.task}, {&m.ID, f.id}, {&m.Shadow, f.shadow}, {&m.RootID, f.rootID}, {&m.ParentID, f.parentID},
		{&m.Group, f.group}, {&m.ETA, f.eta}, {&m.Expires, f.expires}, {&m.ArgsRepr, f.argsrepr},
		{&m.KwargsRepr, f.kwargsrepr}, {&m.ReplyTo, p.replyTo}, {&m.Exchange, p.exchange},
		{&m.RoutingKey, p.routingKey}, {&m.ContentType, f.contentType}, {&m.ContentEncoding, f.contentEncoding},
	}
	size := 0
	for i := range texts {
		if isString(texts[i].src) {
			size += len(texts[i].src) - 2
		}
	}
	var all strings.Builder
	all.Grow(size)
	for i := range texts {
		if isString(texts[i].src) {
			*texts[i].dst = carve(&all, inner(texts[i].src))
		}
	}
}

// carve appends text to all and returns that part of it. The builder has room
// for everything, so the part stays where it is.
func carve(all *strings.Builder, text []byte) string {
	if !utf8.Valid(text) { // as kombu's bytes_to_str; rare, and may grow
		return strings.ToValidUTF8(string(text), "\uFFFD")
	}
	start := all.Len()
	all.Write(text)
	return all.String()[start:]
}

var yes, no = true, false

func truth(text []byte) *bool {
	switch string(text) {
	case "true":
		return &yes
	case "false":
		return &no
	}
	return nil
}

// number reads an integer; anything else is 0, and what is too large is the largest.
func number(text []byte) int {
	if len(text) == 0 || text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		return 0
	}
	if n, err := strconv.Atoi(string(text)); err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(string(text), 64)
	switch {
	case f >= math.MaxInt32:
		return math.MaxInt32
	case f <= math.MinInt32:
		return math.MinInt32
	}
	return int(f)
}

// limits reads [hard, soft], in seconds or null.
func limits(text []byte) (hard, soft time.Duration, ok bool) {
	if text == nil || string(text) == "[null, null]" {
		return 0, 0, true
	}
	if text[0] != '[' {
		return 0, 0, false
	}
	s := scanner{data: text, pos: 1}
	if s.take(']') {
		return 0, 0, true // Celery: an empty list is as good as none (request.py:127)
	}
	first, ok1 := s.value(0)
	comma := s.take(',')
	if !ok1 || !comma {
		return 0, 0, false
	}
	second, ok2 := s.value(0)
	hard, okHard := seconds(first)
	soft, okSoft := seconds(second)
	return hard, soft, ok2 && s.take(']') && okHard && okSoft
}

func seconds(text []byte) (time.Duration, bool) {
	if string(text) == "null" {
		return 0, true
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if len(text) == 0 || text[0] == 'N' || math.IsNaN(f) || err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	switch f *= float64(time.Second); {
	case f <= 0:
		return 0, true
	case f >= math.MaxInt64:
		return math.MaxInt64, true
	}
	return time.Duration(f), true
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
