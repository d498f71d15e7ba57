package celery

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/pool"
)

// ending is a loop of which nothing but its end is tried.
func ending(grace, margin time.Duration) *loop {
	l := &loop{cfg: Config{Grace: grace, Margin: margin}, warden: newWarden(Care{}, zap.NewNop(), nil)}
	l.children = map[pool.ChildID]*child{}
	return l
}

func TestRecordingIsWaitedForUntilTheGraceIsOver(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		grace time.Duration
		told  time.Time
		want  time.Duration // from now
	}{
		"told to leave":                  {30 * time.Second, now.Add(-26 * time.Second), 4*time.Second - recordReserve},
		"told, and everybody was late":   {30 * time.Second, now.Add(-31 * time.Second), recordAtLeast},
		"told, and there is no grace":    {0, now.Add(-time.Hour), recordAtEnd},
		"not told: nobody can be seated": {30 * time.Second, time.Time{}, recordAtEnd},
	} {
		l := ending(c.grace, 3*time.Second)
		l.told = c.told
		l.leftAll(now)
		if got := l.recordable.Sub(now); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if l.awaits(now) {
			t.Errorf("%s: nothing is waited for", name)
		}
		l.recording = 1
		if at := now.Add(c.want); !l.awaits(at.Add(-1)) || l.awaits(at) {
			t.Errorf("%s: it is not waited until then", name)
		}
	}
}

func TestAClerkIsStartedBeforeACutOffAndForATaskThatItConcerns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := &office{}, ending(time.Minute, 5*time.Second)
		l.records = newRecorder(zap.NewNop(), o.launch)
		defer func() { l.records.stop(0) }()
		launched := func(want int64, when string) {
			t.Helper()
			l.recordAhead()
			synctest.Wait()
			if got := o.launched.Load(); got != want {
				t.Errorf("%s: %d launched", when, got)
			}
		}
		l.children[1], l.children[2] = &child{id: 1}, &child{id: 2}
		launched(0, "nobody leaves")
		l.cutAt = time.Now().Add(recordAhead + time.Second)
		if _, err := l.children[2].hand.Read(begins(1, "tag", "id", "proj.early", 0)); err != nil {
			t.Fatal(err)
		}
		launched(0, "it is too soon")
		time.Sleep(time.Second) // no real time passes here
		launched(0, "its message is not known")
		text := []byte{0, 2, 0, 'i', 'd', 'm'} // no more of it, and the length of the id
		if _, err := l.children[2].hand.Read(record('m', 1, text, "")); err != nil {
			t.Fatal(err)
		}
		launched(1, "a task will be cut off")
		launched(1, "again")
	})
}
