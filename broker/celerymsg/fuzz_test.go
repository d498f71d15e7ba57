package celerymsg

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// twin reads an envelope of protocol 2 the slow and obvious way. ok is false
// where encoding/json and Python disagree, and there is nothing to compare with.
func twin(raw []byte) (m Message, ok bool) {
	var e struct {
		Body            *string         `json:"body"`
		Headers         json.RawMessage `json:"headers"`
		Properties      json.RawMessage `json:"properties"`
		ContentType     *string         `json:"content-type"`
		ContentEncoding *string         `json:"content-encoding"`
	}
	if !utf8.Valid(raw) || json.Unmarshal(raw, &e) != nil || e.Body == nil {
		return Message{}, false
	}
	var headers, properties map[string]any
	if json.Unmarshal(e.Headers, &headers) != nil || json.Unmarshal(e.Properties, &properties) != nil {
		return Message{}, false
	}
	if properties["body_encoding"] != "base64" {
		return Message{}, false
	}
	body, err := base64.StdEncoding.DecodeString(*e.Body)
	if err != nil {
		return Message{}, false
	}
	info, _ := properties["delivery_info"].(map[string]any)
	str := func(m map[string]any, key string) string { s, _ := m[key].(string); return s }
	return Message{
		Raw: raw, Headers: e.Headers, Properties: e.Properties, Body: body,
		ContentType: deref(e.ContentType), ContentEncoding: deref(e.ContentEncoding),
		Task: str(headers, "task"), ID: str(headers, "id"), Shadow: str(headers, "shadow"), RootID: str(headers, "root_id"),
		ParentID: str(headers, "parent_id"), Group: str(headers, "group"), ETA: str(headers, "eta"), Expires: str(headers, "expires"),
		ArgsRepr: str(headers, "argsrepr"), KwargsRepr: str(headers, "kwargsrepr"), ReplyTo: str(properties, "reply_to"),
		Exchange: str(info, "exchange"), RoutingKey: str(info, "routing_key"),
		Redelivered: headers["redelivered"] == true || info["redelivered"] == true,
	}, true
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// texts leaves what the twin reads.
func texts(m Message) Message {
	m.Retries, m.HardLimit, m.SoftLimit, m.Priority, m.Deaths = 0, 0, 0, 0, 0
	m.IgnoreResult, m.StampedHeaders, m.Problem = nil, nil, ""
	return m
}

func compareWithTwin(t *testing.T, raw []byte) {
	t.Helper()
	want, ok := twin(raw)
	got := ParseEnvelope(raw)
	if !ok || got.Kind != Protocol2 || foldsKeys(raw) {
		return
	}
	if diff := cmp.Diff(want, texts(got)); diff != "" {
		t.Errorf("%s\n%s", raw, diff)
	}
}

// foldsKeys: encoding/json also takes keys of another case, Python does not.
func foldsKeys(raw []byte) bool {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return true
	}
	for k := range m {
		switch k {
		case "body", "headers", "properties", "content-type", "content-encoding":
		default:
			return true
		}
	}
	return false
}

func TestRandomMessagesAreReadAsTheSlowReaderDoes(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		raw := randomEnvelope(r)
		compareWithTwin(t, raw)
		checkProperties(t, raw)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// randomEnvelope is well-formed, with headers of any type in any order.
func randomEnvelope(r *rand.Rand) []byte {
	object := func(keys ...string) []byte {
		out := []byte{'{'}
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for i, k := range keys[:r.IntN(len(keys)+1)] {
			if i > 0 {
				out = append(out, ',')
			}
			out = fmt.Appendf(out, "%s%q%s:%s%s", blank(r), k, blank(r), blank(r), randomValue(r, 3))
		}
		return append(append(out, blank(r)...), '}')
	}
	headers := object("task", "id", "eta", "expires", "shadow", "root_id", "group", "argsrepr", "timelimit", "retries", "redelivered", "x", "task", DeathsHeader)
	info := object("exchange", "routing_key", "redelivered")
	body := base64.StdEncoding.EncodeToString([]byte("body"))
	return fmt.Appendf(nil, `{"content-type": %s, "headers": %s, "body": %q, "properties": {"delivery_info": %s, "reply_to": %s, "body_encoding": "base64"}}`,
		randomValue(r, 0), headers, body, info, randomValue(r, 1))
}

func blank(r *rand.Rand) string { return []string{"", "", " ", "\n\t"}[r.IntN(4)] }

func randomValue(r *rand.Rand, depth int) []byte {
	scalars := []string{`null`, `true`, `false`, `0`, `-1`, `2.5e3`, `""`, `"plain"`, `"a\"b\\"`, `"\u00fc\ud83d\ude00"`, `"ü"`,
		`"2026-11-24T04:09:44.394410+00:00"`, `"a text that is longer than eight bytes"`, `[null, null]`, `[10, 5.5]`}
	if n := r.IntN(len(scalars) + 2*depth); n < len(scalars) {
		return []byte(scalars[n])
	}
	inner := randomValue(r, depth-1)
	if r.IntN(2) == 0 {
		return fmt.Appendf(nil, "[%s,%s%s]", inner, blank(r), inner)
	}
	return fmt.Appendf(nil, `{"a": %s, "b"%s: %s}`, inner, blank(r), inner)
}

// checkProperties states what holds for every input.
func checkProperties(t *testing.T, raw []byte) {
	t.Helper()
	m := ParseEnvelope(raw)
	marked := MarkRestored(raw, 1)
	if again := MarkRestored(marked, 1); !bytes.Equal(again, marked) {
		t.Errorf("marking again changes\n%s\nto\n%s", marked, again)
	}
	after := ParseEnvelope(marked)
	if after.Kind != m.Kind || after.Task != m.Task || after.ID != m.ID || !bytes.Equal(after.Body, m.Body) {
		t.Errorf("marking changes what %q says", raw)
	}
	if m.Kind <= Protocol1 && marksFit(raw) && m.Problem == "" && (!after.Redelivered || after.Deaths != 1) {
		t.Errorf("%q is not redelivered after marking: %s", raw, marked)
	}
	if m.Kind > Protocol1 || !json.Valid(raw) {
		return // NaN is JSON to Python only
	}
	request := m.AppendRequest(nil, "celery@host")
	if !json.Valid(request) {
		if m.Kind == Protocol1 && !json.Valid(m.Body) {
			return // NaN in the body
		}
		t.Fatalf("%q gives a request that is not JSON: %s", raw, request)
	}
	var members, headers map[string]json.RawMessage
	if json.Unmarshal(request, &members) != nil || json.Unmarshal(m.Headers, &headers) != nil {
		return
	}
	for key, want := range headers {
		switch key {
		case "properties", "reply_to", "correlation_id", "hostname", "delivery_info":
		default:
			if !bytes.Equal(members[key], bytes.ToValidUTF8(want, []byte("\uFFFD"))) {
				t.Errorf("header %q of %q became %s", key, raw, members[key])
			}
		}
	}
}

// marksFit: there are headers to write into. Where there are none kombu marks
// nothing either (it passes over the KeyError, transport/redis.py).
func marksFit(raw []byte) bool {
	var envelope struct{ Headers map[string]json.RawMessage }
	return json.Unmarshal(raw, &envelope) == nil && envelope.Headers != nil
}

func FuzzParseEnvelope(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.json")
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(MarkRestored(raw, 3))
	}
	f.Add(envelopeOf(`{"task": "t", "id": "\u0000\ud800", "x": [1e5, -0.0, {}, []]}`, `{"args": [NaN], "kwargs": {}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		compareWithTwin(t, raw)
		checkProperties(t, raw)
	})
}

func FuzzParseTime(f *testing.F) {
	for _, tt := range times {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if at, err := ParseTime(s, time.UTC); err == nil && (at.Year() < 1 || at.Year() > 9999) {
			t.Errorf("%q is in the year %d", s, at.Year())
		}
	})
}
