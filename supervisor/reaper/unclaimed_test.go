package reaper

import (
	"testing"
	"time"
)

func TestUnclaimedStatusesAreBoundedInNumberAndTime(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	u := unclaimed{limit: 3, keep: 10 * time.Second}
	steps := []struct {
		second, pid, dropped int
		why                  string
	}{
		{0, 1, 0, "room"},
		{1, 2, 0, "room"},
		{2, 2, 1, "the number was recycled"},
		{3, 3, 0, "room"},
		{4, 4, 1, "full: the oldest goes"},
		{13, 5, 1, "full and one is too old: one goes"},
		{30, 6, 3, "all are too old"},
	}
	for _, s := range steps {
		if got := u.put(at(s.second), Status{PID: s.pid, Code: s.second}); got != s.dropped {
			t.Errorf("second %d, pid %d: dropped %d, want %d (%s)", s.second, s.pid, got, s.dropped, s.why)
		}
	}
	if _, ok := u.take(1); ok {
		t.Error("pid 1 was dropped and is here")
	}
	if st, ok := u.take(6); !ok || st.Code != 30 {
		t.Errorf("pid 6: %v, %v", st, ok)
	}
	if _, ok := u.take(6); ok {
		t.Error("pid 6 was taken and is here")
	}
}
