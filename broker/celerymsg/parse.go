package celerymsg

import (
	"bytes"
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
	var e envelope
	if !e.read(raw) {
		m.fail(Undecodable, "the envelope is not a JSON object")
		return m
	}
	m.Headers, m.Properties = e.headers, e.properties
	body, problem := decodeBody(e.body, e.bodyEncoding)
	m.Body = body
	switch {
	case problem != "":
		m.set(&e)
		m.fail(Undecodable, problem)
	case e.task == nil || isHybrid(body, e.contentType):
		m.convert(&e)
	default:
		m.set(&e)
	}
	return m
}

func (m *Message) fail(k Kind, problem string) { m.Kind, m.Problem = k, problem }

// envelope holds the texts of what is read; nil when absent, and null where that
// means the same. Of keys that stand twice the last wins, as in Python.
type envelope struct {
	body, headers, properties, contentType, contentEncoding []byte
	fields
	props
}

// read goes through the whole text once and says whether it is an object.
func (e *envelope) read(raw []byte) bool {
	it := object(raw)
	for it.next() {
		switch string(it.key) {
		case "body":
			e.body = notNull(it.value())
		case "headers":
			e.fields = fields{}
			e.headers = notNull(e.fields.read(&it))
		case "properties":
			e.props = props{}
			e.properties = notNull(e.props.read(&it))
		case "content-type":
			e.contentType = notNull(it.value())
		case "content-encoding":
			e.contentEncoding = notNull(it.value())
		default:
			it.value()
		}
	}
	end := it.end()
	return end != bad && skipSpace(raw, end) == len(raw)
}

func notNull(text []byte) []byte {
	if string(text) == "null" {
		return nil
	}
	return text
}

func isString(text []byte) bool { return len(text) > 0 && text[0] == '"' }
func isObject(text []byte) bool { return len(text) > 0 && text[0] == '{' }

// props holds the texts of the properties that are read.
type props struct {
	bodyEncoding, replyTo, correlationID, priority []byte
	exchange, routingKey, redelivered              []byte
}

// read moves over the value of outer and takes what it finds there.
func (p *props) read(outer *members) []byte {
	it, ok := outer.nested()
	if !ok {
		return outer.value()
	}
	for it.next() {
		switch string(it.key) {
		case "body_encoding":
			p.bodyEncoding = notNull(it.value())
		case "reply_to":
			p.replyTo = it.value()
		case "correlation_id":
			p.correlationID = it.value()
		case "priority":
			p.priority = it.value()
		case "delivery_info":
			p.exchange, p.routingKey, p.redelivered = nil, nil, nil
			p.readDeliveryInfo(&it)
		default:
			it.value()
		}
	}
	return outer.leave(&it)
}

func (p *props) readDeliveryInfo(outer *members) {
	it, ok := outer.nested()
	if !ok {
		outer.value()
		return
	}
	for it.next() {
		value := it.value()
		switch string(it.key) {
		case "exchange":
			p.exchange = value
		case "routing_key":
			p.routingKey = value
		case "redelivered":
			p.redelivered = value
		}
	}
	outer.leave(&it)
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
		return inner(text[1 : len(text)-1]), ""
	case string(encoding) == `"base64"`:
		return decodeBase64(inner(text[1 : len(text)-1]))
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
}

// read moves over the value of outer and takes what it finds there.
func (f *fields) read(outer *members) []byte {
	it, ok := outer.nested()
	if !ok {
		return outer.value()
	}
	for it.next() {
		f.header(it.key, it.value())
	}
	return outer.leave(&it)
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
func (m *Message) set(e *envelope) {
	m.setTexts(e)
	m.Retries = number(e.retries)
	m.Priority = number(e.priority)
	m.Deaths = max(0, number(e.deaths))
	m.Redelivered = string(e.fields.redelivered) == "true" || string(e.props.redelivered) == "true"
	m.StampedHeaders = e.stampedHeaders
	m.IgnoreResult = truth(e.ignoreResult)
	ok := true
	if m.HardLimit, m.SoftLimit, ok = limits(e.timelimit); !ok {
		m.Problem = "invalid time limits " + clip(string(e.timelimit), 40)
	}
	m.check(&e.fields)
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
func (m *Message) setTexts(e *envelope) {
	texts := [...]struct {
		dst *string
		src []byte
	}{
		{&m.Task, e.task}, {&m.ID, e.id}, {&m.Shadow, e.shadow}, {&m.RootID, e.rootID}, {&m.ParentID, e.parentID},
		{&m.Group, e.group}, {&m.ETA, e.eta}, {&m.Expires, e.expires}, {&m.ArgsRepr, e.argsrepr},
		{&m.KwargsRepr, e.kwargsrepr}, {&m.ReplyTo, e.replyTo}, {&m.Exchange, e.exchange},
		{&m.RoutingKey, e.routingKey}, {&m.ContentType, e.contentType}, {&m.ContentEncoding, e.contentEncoding},
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
			*texts[i].dst = carve(&all, texts[i].src)
		}
	}
}

// carve adds what a string's text stands for to all and returns that part of it.
// The builder has room for everything, so the part stays where it is.
func carve(all *strings.Builder, text []byte) string {
	text = text[1 : len(text)-1]
	start := all.Len()
	switch {
	case !utf8.Valid(text): // as kombu's bytes_to_str
		return strings.ToValidUTF8(string(inner(text)), "\uFFFD")
	case bytes.IndexByte(text, '\\') < 0:
		all.Write(text)
	default:
		unquote(all, text)
	}
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
	if skipByte(text, 1, ']') != bad {
		return 0, 0, true // Celery: an empty list is as good as none (request.py:127)
	}
	at := skipSpace(text, 1)
	comma := skipValue(text, at, 0)
	first := text[at:comma]
	if comma = skipByte(text, comma, ','); comma == bad {
		return 0, 0, false
	}
	at = skipSpace(text, comma)
	end := skipValue(text, at, 0)
	hard, okHard := seconds(first)
	soft, okSoft := seconds(text[at:end])
	return hard, soft, okHard && okSoft && skipByte(text, end, ']') != bad
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
