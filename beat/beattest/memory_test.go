package beattest

import "testing"

func TestThePublisherInMemoryPassesTheSuite(t *testing.T) {
	Exercise(t, Harness{New: func(*testing.T) World { return NewMemory() }})
}
