package celerymsg

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// envelopeOf makes an envelope around headers and a JSON body.
func envelopeOf(headers, body string) []byte {
	return fmt.Appendf(nil, `{"body": %q, "content-encoding": "utf-8", "content-type": "application/json", "headers": %s, `+
		`"properties": {"delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 3, "body_encoding": "base64", "delivery_tag": "t"}}`,
		base64.StdEncoding.EncodeToString([]byte(body)), headers)
}

func TestMessageMadeByCeleryIsReadWhole(t *testing.T) {
	m := ParseEnvelope(file(t, "eta.json"))
	no := false
	m.Raw, m.Headers, m.Properties = nil, nil, nil
	want := Message{
		Body:        []byte(`[[1], {}, {"callbacks": [{"task": "proj.tasks.send_welcome_mail", "args": [2], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false}], "errbacks": null, "chain": null, "chord": null}]`),
		ContentType: "application/json", ContentEncoding: "utf-8",
		Task: "proj.tasks.send_welcome_mail", ID: m.ID, RootID: m.ID, ETA: m.ETA, Expires: m.Expires,
		ReplyTo: m.ReplyTo, Priority: 5, RoutingKey: "emails", IgnoreResult: &no, ArgsRepr: "(1,)", KwargsRepr: "{}",
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	if len(m.ID) != 36 || len(m.ReplyTo) != 36 || len(m.ETA) != 32 || len(m.Expires) != 32 {
		t.Errorf("id %q, reply_to %q, eta %q, expires %q", m.ID, m.ReplyTo, m.ETA, m.Expires)
	}
	if m := ParseEnvelope(file(t, "typical.json")); m.HardLimit != time.Minute || m.SoftLimit != 50*time.Second {
		t.Errorf("limits: hard %v, soft %v", m.HardLimit, m.SoftLimit)
	}
}

// The files were written by Celery's own Request (testdata/generate.py).
func TestRequestIsTheOneThatCelerysWorkerMakes(t *testing.T) {
	for _, name := range []string{"typical", "eta", "protocol1"} {
		t.Run(name, func(t *testing.T) {
			m := ParseEnvelope(file(t, name+".json"))
			var got, want map[string]any
			if err := json.Unmarshal(m.AppendRequest(nil, "celery@host"), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(file(t, name+".request.json"), &want); err != nil {
				t.Fatal(err)
			}
			delete(got, "args") // of a body of protocol 1; the child puts in its own
			delete(got, "kwargs")
			for _, key := range []string{"argsrepr", "kwargsrepr"} {
				if name == "protocol1" { // for people; here as JSON and not as Python
					delete(got, key)
					delete(want, key)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEachKindOfMessageTakesCelerysWay(t *testing.T) {
	const v2 = `{"task": "t", "id": "i"}`
	tests := []struct {
		name, raw string
		kind      Kind
		problem   string // a part of it; empty: none
	}{
		{"task in the headers (consumer.py:806)", string(envelopeOf(v2, "[[], {}, {}]")), Protocol2, ""},
		{"body that is not JSON is the executor's business", string(envelopeOf(v2, "\x80\x04")), Protocol2, ""},
		{"no body", `{"headers": ` + v2 + `, "properties": {}}`, Protocol2, ""},
		{"no properties", `{"headers": ` + v2 + `, "body": "[]"}`, Protocol2, ""},
		{"last of equal keys wins", `{"headers": {}, "headers": {"task": 1, "task": "t", "id": "i"}, "body": ""}`, Protocol2, ""},
		{"key with an escape", `{"headers": {"t\u0061sk": "t", "id": "i"}}`, Protocol2, ""},
		{"NaN in a user's header, as Python writes it", `{"headers": {"task": "t", "id": "i", "x": [NaN, -Infinity]}}`, Protocol2, ""},
		{"task in the body (consumer.py:815)", string(envelopeOf(`{}`, `{"task": "t", "id": "i", "args": [1]}`)), Protocol1, ""},
		{"hybrid (strategy.py:134)", string(envelopeOf(v2, ` {"args": [1], "kwargs": {}}`)), Protocol1, ""},
		{"kwargs that are a list (strategy.py:70)", string(envelopeOf(`{}`, `{"task": "t", "id": "i", "kwargs": []}`)), Protocol1, "must be a mapping"},
		{"no id", string(envelopeOf(`{"task": "t"}`, "[]")), Protocol2, "no id"},
		{"id that is a number", string(envelopeOf(`{"task": "t", "id": 7}`, "[]")), Protocol2, "id is not a string"},
		{"eta that is a number (request.py:146)", string(envelopeOf(`{"task": "t", "id": "i", "eta": 7}`, "[]")), Protocol2, "invalid ETA value 7"},
		{"expires that is a list (request.py:157)", string(envelopeOf(`{"task": "t", "id": "i", "expires": []}`, "[]")), Protocol2, "invalid expires value []"},
		{"limits that are words", string(envelopeOf(`{"task": "t", "id": "i", "timelimit": ["1", 2]}`, "[]")), Protocol2, "invalid time limits"},
		{"one limit only", string(envelopeOf(`{"task": "t", "id": "i", "timelimit": [1]}`, "[]")), Protocol2, "invalid time limits"},
		{"task that is null", string(envelopeOf(`{"task": null, "id": "i"}`, "[]")), Unknown, "task name"},
		{"no task anywhere (consumer.py:817)", string(envelopeOf(`{}`, `{"a": 1}`)), Unknown, "neither"},
		{"body is a list", string(envelopeOf(`{}`, `[1]`)), Unknown, "neither"},
		{"headers are a list (consumer.py:808)", string(envelopeOf(`[1]`, `{}`)), Unknown, "not an object"},
		{"no task and no JSON", `{"headers": {}, "body": "x", "content-type": "text/plain", "properties": {}}`, Unknown, "text/plain"},
		{"body of protocol 1 is broken (consumer.py:811)", string(envelopeOf(`{}`, `{"task"`)), Undecodable, "body is not JSON"},
		{"no base64", `{"headers": ` + v2 + `, "body": "a", "properties": {"body_encoding": "base64"}}`, Undecodable, "not base64"},
		{"strange encoding", `{"headers": ` + v2 + `, "body": "a", "properties": {"body_encoding": "rot13"}}`, Undecodable, "rot13"},
		{"body is an object", `{"headers": ` + v2 + `, "body": {}}`, Undecodable, "not a string"},
		{"cut off", `{"headers": {"task": "t`, Undecodable, "envelope"},
		{"not an object", `[1, 2]`, Undecodable, "envelope"},
		{"nothing", ``, Undecodable, "envelope"},
		{"something behind it", `{} {}`, Undecodable, "envelope"},
		{"control character in a string", "{\"headers\": \"\x01\"}", Undecodable, "envelope"},
		{"integer that Python refuses to read", `{"headers": {"task": "t", "id": "i", "x": -` + strings.Repeat("7", 4301) + `}}`, Undecodable, "envelope"},
		{"number as long that is no integer", `{"headers": {"task": "t", "id": "i", "x": ` + strings.Repeat("7", 4301) + `e-1}}`, Protocol2, ""},
		{"too deep", `{"headers": ` + strings.Repeat("[", 10000), Undecodable, "envelope"},
		{"too deep and well-formed", `{"headers": ` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`, Undecodable, "envelope"},
		{"too deep in objects", `{"headers": ` + strings.Repeat(`{"a":`, 600) + "1" + strings.Repeat("}", 600) + `}`, Undecodable, "envelope"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := ParseEnvelope([]byte(tt.raw))
			if m.Kind != tt.kind || (m.Problem == "") != (tt.problem == "") || !strings.Contains(m.Problem, tt.problem) {
				t.Errorf("kind %d, problem %q", m.Kind, m.Problem)
			}
			if m.Kind <= Protocol1 && m.Problem == "" && (m.Task != "t" || m.ID != "i") {
				t.Errorf("task %q, id %q", m.Task, m.ID)
			}
		})
	}
}

func TestBodyIsDecodedAsItsEncodingSays(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"base64", `{"body": "aGVsbG8=", "properties": {"body_encoding": "base64"}}`, "hello"},
		{"base64 broken into lines, as Python lets pass", `{"body": "aGVs\nbG8=\n", "properties": {"body_encoding": "base64"}}`, "hello"},
		{"encoding comes before the body", `{"properties": {"body_encoding": "base64"}, "body": "aGVsbG8="}`, "hello"},
		{"none", `{"body": "hello", "properties": {}}`, "hello"},
		{"none, with escapes", `{"body": "\u0068\"\\\/\b\f\n\r\t\ud83d\ude00", "properties": {}}`, "h\"\\/\b\f\n\r\t😀"},
		{"lone surrogates", `{"body": "\ud83dx\ude00", "properties": {}}`, "\uFFFDx\uFFFD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if m := ParseEnvelope([]byte(tt.raw)); string(m.Body) != tt.want {
				t.Errorf("body %q, want %q", m.Body, tt.want)
			}
		})
	}
}

func TestNumbersThatMakeNoSenseAreBounded(t *testing.T) {
	m := ParseEnvelope(envelopeOf(`{"task": "t", "id": "i", "retries": 1e999, "timelimit": [1e300, -5], "x-crisper-deaths": -3}`, "[]"))
	if m.Retries != 1<<31-1 || m.HardLimit != 1<<63-1 || m.SoftLimit != 0 || m.Deaths != 0 || m.Problem != "" {
		t.Errorf("%+v", m)
	}
	m = ParseEnvelope(envelopeOf(`{"task": "t", "id": "i", "retries": "7", "timelimit": [0.25, 1]}`, "[]"))
	if m.Retries != 0 || m.HardLimit != 250*time.Millisecond || m.SoftLimit != time.Second {
		t.Errorf("%+v", m)
	}
}

func TestProtocol1BecomesProtocol2(t *testing.T) {
	m := ParseEnvelope(envelopeOf(`{"x-crisper-deaths": 2}`, `{"task": "t", "id": "i", "args": [1, "ü"], "kwargs": {"a": null}, "taskset": "g", "retries": 2, "callbacks": [{"task": "u"}], "utc": true}`))
	var headers map[string]any
	if err := json.Unmarshal(m.Headers, &headers); err != nil {
		t.Fatal(err)
	}
	if headers["group"] != "g" || m.Group != "g" || m.Retries != 2 || m.Deaths != 2 || m.ArgsRepr != `[1,"ü"]` {
		t.Errorf("%+v", m)
	}
	const want = `[[1, "ü"], {"a": null}, {"callbacks": [{"task": "u"}], "errbacks": null, "chord": null, "chain": null}]`
	if string(m.Body) != want {
		t.Errorf("body %s", m.Body)
	}
}

func TestRequestStartsWithTheHeadersByteForByte(t *testing.T) {
	for _, headers := range []string{`{"b":1,  "a" : 2 }`, `{}`, ` { } `, ``} {
		m := Message{Headers: []byte(strings.TrimSpace(headers)), Properties: []byte(`{"priority": null}`)}
		got := m.AppendRequest([]byte("x"), "a\"\\\x01")
		if !json.Valid(got[1:]) {
			t.Errorf("%q gives %s", headers, got)
		}
		if prefix := strings.TrimRight(strings.TrimSuffix(strings.TrimSpace(headers), "}"), " "); !bytes.HasPrefix(got[1:], []byte(prefix)) {
			t.Errorf("%q gives %s", headers, got)
		}
	}
}

func TestBytesThatAreNoTextAreReplacedAsKombuDoes(t *testing.T) {
	m := ParseEnvelope(envelopeOf("{\"task\": \"t\xff\", \"id\": \"i\", \"x\": \"\xc3\"}", "[]"))
	if m.Task != "t\uFFFD" {
		t.Errorf("task %q", m.Task)
	}
	if got := m.AppendRequest([]byte("\xff"), "h"); got[0] != 0xff || !utf8.Valid(got[1:]) || !json.Valid(got[1:]) {
		t.Errorf("request %q", got)
	}
}
