//go:build integration

package lifecycle

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
	"crisper/supervisor/ops"
)

// longestPause is the promise of a reload: somebody takes what waits within this
// time, on a machine that has time for it.
const longestPause = 200 * time.Millisecond

func TestAReloadOfFourWorkersUnderLoadStopsNothingLosesNothingAndCutsNoTask(t *testing.T) {
	g := newGround(t, cell{"HUP", "reserved", "redis", "prefork", "worker"}, nil)
	options := []string{"--runtime=celery", "--children", "4", "-P", "prefork", "-c", "1"}
	w := harness.Got(g.StartCrisper(g.app, options...))(t)
	generation := func(n uint64) func(ops.State) bool {
		return func(s ops.State) bool {
			for _, slot := range s.Slots {
				if uint64(slot.Generation) != n || slot.State != "ready" && slot.State != "busy" {
					return false
				}
			}
			return len(s.Slots) == 4
		}
	}
	harness.Must(t, w.UntilState(harness.Deadline(t, 2*patience), "four workers", generation(1)))
	var ids []string
	for range 4 { // in the middle of these they are told to leave
		ids = append(ids, harness.Got(g.client.Send(harness.T("sleepy", 4)))(t))
	}
	busy := harness.WatchBusy()
	ids = append(ids, g.more(t)...)
	harness.Must(t, g.Journal.UntilStarted(harness.Deadline(t, patience), ids[4]))
	began := time.Now()
	harness.Must(t, w.Signal(syscall.SIGHUP))
	ids = append(ids, g.feed(t, w, ids, generation(2))...)
	over := time.Now()
	bound := busy.Stretch(longestPause)
	harness.Must(t, g.Journal.UntilEnded(harness.Deadline(t, patience), ids...))
	pause := g.longestGap(t, began, over)
	t.Logf("%d tasks in a reload of %.1f s; the longest pause was %s, the bound here is %s", len(ids), over.Sub(began).Seconds(), pause, bound)
	if pause > bound {
		t.Errorf("nothing was taken for %s, although tasks waited; the bound is %s", pause, bound)
	}
	for id, r := range harness.Got(g.Journal.Tasks())(t) {
		if r.Starts != 1 || r.Ends != 1 || r.Entries[1].Outcome != "ok" {
			t.Errorf("%s: started %d times, ended %d times", id, r.Starts, r.Ends)
		}
	}
	harness.Must(t, w.Signal(syscall.SIGTERM))
	if code, _, err := w.Wait(harness.Deadline(t, patience)); err != nil || code != 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
}

// batch is how many tasks are published at once.
const batch = 100

func (g *ground) more(t *testing.T) []string {
	t.Helper()
	return harness.Got(g.client.Bulk(harness.T("sleepy", 0.01), batch))(t)
}

// feed keeps tasks waiting at the broker until the state is what is wanted.
func (g *ground) feed(t *testing.T, w *harness.Worker, ids []string, wanted func(ops.State) bool) (sent []string) {
	t.Helper()
	harness.Must(t, w.UntilState(harness.Deadline(t, 3*patience), "four new workers", func(s ops.State) bool {
		ended := 0
		for _, e := range harness.Got(g.Journal.Entries())(t) {
			if e.Event == "end" {
				ended++
			}
		}
		if len(ids)+len(sent)-ended < 2*batch { // four workers have a few of them in hand
			sent = append(sent, g.more(t)...)
		}
		return wanted(s)
	}))
	return sent
}

// longestGap is the longest time in which no task was started.
func (g *ground) longestGap(t *testing.T, from, to time.Time) (longest time.Duration) {
	t.Helper()
	moments := []time.Time{from, to}
	for _, e := range harness.Got(g.Journal.Entries())(t) {
		if at := e.At(); e.Event == "start" && at.After(from) && at.Before(to) {
			moments = append(moments, at)
		}
	}
	slices.SortFunc(moments, time.Time.Compare)
	for i := range moments[1:] {
		longest = max(longest, moments[i+1].Sub(moments[i]))
	}
	return longest
}
