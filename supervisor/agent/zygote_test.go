package agent

import (
	"strings"
	"testing"

	"crisper/supervisor/wire"
)

func TestWhatTheAppSaysAndCannotBeReadIsAFailureThatNamesIt(t *testing.T) {
	event, err := parseEvent(wire.Frame{Kind: wire.Loaded, Payload: []byte(`{"tasks": {"a": {"time_limit": "x"}}}`)})
	failed, ok := event.(FailedEvent)
	if err != nil || !ok || !strings.Contains(failed.Err.Error(), "time_limit") {
		t.Errorf("%+v, %v", event, err)
	}
}
