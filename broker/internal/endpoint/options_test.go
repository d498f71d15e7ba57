package endpoint

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestOptionsAreSetOrPassedOverOrRefusedByName(t *testing.T) {
	var limit int
	v := Vocabulary{
		Set: func(name string, value json.RawMessage) (bool, error) {
			if name != "limit" {
				return false, nil
			}
			return true, json.Unmarshal(value, &limit)
		},
		Passive: map[string]string{"max_retries": "of publishers"},
		Refused: map[string]string{"hook": "it is Python code"},
	}
	warnings, err := v.Read(map[string]json.RawMessage{
		"limit": json.RawMessage("7"), "max_retries": json.RawMessage("3"), "new": json.RawMessage("1"), "hook": json.RawMessage(" null"),
	})
	if err != nil || limit != 7 || !slices.Equal(warnings, []string{`unknown transport option "new" is ignored`}) {
		t.Errorf("got %d, %q, %v", limit, warnings, err)
	}
	_, err = v.Read(map[string]json.RawMessage{"limit": json.RawMessage(`"s3cret"`), "hook": json.RawMessage(`"f"`)})
	const want = "broker_transport_options: hook: cannot be honoured: it is Python code; run this app with --runtime=celery\n" +
		"broker_transport_options: limit: wants a int, got a string"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestAValueThatIsNoJSONIsNotQuoted(t *testing.T) {
	v := Vocabulary{Set: func(_ string, value json.RawMessage) (bool, error) { return true, json.Unmarshal(value, new(int)) }}
	if _, err := v.Read(map[string]json.RawMessage{"x": json.RawMessage("s3cret")}); err == nil || strings.Contains(err.Error(), "3cret") {
		t.Errorf("got %v", err)
	}
}

func TestAFailoverStrategyOfOnesOwnIsRefused(t *testing.T) {
	if err := Failover("shuffle"); err != nil {
		t.Error(err)
	}
	if err := Failover("proj.pick"); err == nil || !strings.Contains(err.Error(), "proj.pick") {
		t.Errorf("got %v", err)
	}
}
