package harness

import (
	"testing"
	"time"
)

func TestABoundIsStretchedOnlyByWhatOthersTakeOfTheMachine(t *testing.T) {
	for _, row := range []struct {
		name           string
		looks, running int
		late           time.Duration
		want           time.Duration
	}{
		{"a quiet machine", 50, 50, 0, time.Second},
		{"as many as there are processors", 50, 100, 0, time.Second},
		{"ten on two processors", 50, 500, 0, 5 * time.Second},
		{"a machine that stood still", 50, 50, 700 * time.Millisecond, 1700 * time.Millisecond},
		{"nothing was seen", 0, 0, 0, time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := stretch(time.Second, row.looks, row.running, 2, row.late); got != row.want {
				t.Errorf("one second is %s, want %s", got, row.want)
			}
		})
	}
}
