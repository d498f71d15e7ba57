package celerymsg

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarkRestoredTouchesNothingElse(t *testing.T) {
	tests := []struct {
		name, raw string
		deaths    int
		want      string
	}{
		{
			"marks are added",
			`{"headers": {"id": "i"}, "body": "x", "properties": {"delivery_info": {"exchange": ""}, "a":1}}`, 0,
			`{"headers": {"id": "i", "redelivered": true}, "body": "x", "properties": {"delivery_info": {"exchange": "", "redelivered": true}, "a":1}}`,
		},
		{
			"marks are replaced, a death count too, wherever they stand",
			`{"properties": {"delivery_info": {"redelivered":false, "exchange": ""}}, "headers": {"x-crisper-deaths": 1, "redelivered": null}}`, 12,
			`{"properties": {"delivery_info": {"redelivered":true, "exchange": ""}}, "headers": {"x-crisper-deaths": 12, "redelivered": true}}`,
		},
		{
			"the first death, in empty objects",
			`{"headers": { }, "properties": {"delivery_info": {}}}`, 1,
			`{"headers": { "redelivered": true, "x-crisper-deaths": 1}, "properties": {"delivery_info": {"redelivered": true}}}`,
		},
		{
			"the last of equal keys is the one that counts",
			`{"headers": {"redelivered": false, "redelivered": false}}`, 0,
			`{"headers": {"redelivered": false, "redelivered": true}}`,
		},
		{
			"no delivery_info, as kombu (redis.py, _do_restore_message)",
			`{"headers": {"id": "i"}, "properties": {}}`, 0,
			`{"headers": {"id": "i", "redelivered": true}, "properties": {}}`,
		},
		{"no headers", `{"headers": null}`, 3, `{"headers": null}`},
		{"no envelope", `{"headers": {}`, 3, `{"headers": {}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := MarkRestored([]byte(tt.raw), tt.deaths)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
			if again := MarkRestored(got, tt.deaths); !bytes.Equal(again, got) {
				t.Errorf("marked again: %s", again)
			}
		})
	}
}

func TestARestoredMessageIsTheSameButRedelivered(t *testing.T) {
	raw := file(t, "typical.json")
	before, after := ParseEnvelope(raw), ParseEnvelope(MarkRestored(raw, 2))
	if before.Redelivered || before.Deaths != 0 || !after.Redelivered || after.Deaths != 2 {
		t.Errorf("before %v %d, after %v %d", before.Redelivered, before.Deaths, after.Redelivered, after.Deaths)
	}
	if diff := cmp.Diff(forget(before), forget(after)); diff != "" {
		t.Error(diff)
	}
	if !bytes.Contains(after.AppendRequest(nil, "h"), []byte(`"delivery_info": {"exchange": "", "routing_key": "celery", "priority": 0, "redelivered": true}`)) {
		t.Error("the request does not tell of the redelivery")
	}
}

// forget drops what MarkRestored may change.
func forget(m Message) Message {
	m.Raw, m.Headers, m.Properties, m.Redelivered, m.Deaths = nil, nil, nil, false, 0
	return m
}
