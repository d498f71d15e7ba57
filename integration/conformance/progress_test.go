package main

import "testing"

func TestProgressIsReadFromResultsThatAreStillBeingWritten(t *testing.T) {
	results := `{"event": "left out", "test": "z"}
{"event": "chosen", "test": "a"}
{"event": "chosen", "test": "b"}
{"event": "chosen", "test": "c"}
{"event": "test", "test": "a", "outcome": "passed"}
{"event": "test", "test": "b", "outcome": "failed"}
{"event": "test", "test": "c", "outc`
	if got, want := progressOf([]byte(results)), "2 of 3 tests, 1 failed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
