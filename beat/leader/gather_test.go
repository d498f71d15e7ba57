package leader

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTicksThatAreDueAllTheTimeAreGatheredAndOneAfterARestIsSentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		rested := lane{alarm: now, sent: now.Add(-time.Second)}
		if wait := rested.wait(now); wait > 0 {
			t.Errorf("after a rest it waits %s", wait)
		}
		busy := lane{alarm: now.Add(time.Millisecond), sent: now}
		if wait := busy.wait(now); wait != gather {
			t.Errorf("right after a batch it waits %s", wait)
		}
		busy.alarm = now.Add(time.Second)
		if wait := busy.wait(now); wait != time.Second {
			t.Errorf("with nothing due it waits %s", wait)
		}
	})
}
