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

// longestPauseBusy is where a stretched bound would say nothing any more.
const longestPauseBusy = 10 * time.Second

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
	ids = append(ids, g.feed(t, w, generation(2))...)
	over := time.Now()
	bound := min(busy.Stretch(longestPause), longestPauseBusy)
	harness.Must(t, g.Journal.UntilEnded(harness.Deadline(t, patience), ids...))
	pause := g.longestGap(t, began, over)
	t.Logf("%d tasks in a reload of %.1f s; the longest pause was %s, the bound here is %s", len(ids), over.Sub(began).Seconds(), pause, bound)
	if pause > bound {
		t.Errorf("nothing was taken for %s, although tasks waited; the bound is %s", pause, bound)
	}
	twice := 0
	for id, r := range harness.Got(g.Journal.Tasks())(t) {
		if r.Starts > 1 {
			twice++ // see begunAndGivenBack
		}
		if r.Starts != r.Ends || r.Entries[1].Outcome != "ok" {
			t.Errorf("%s was cut off: %+v", id, r.Entries)
		}
	}
	t.Logf("%d tasks ran twice", twice)
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
func (g *ground) feed(t *testing.T, w *harness.Worker, wanted func(ops.State) bool) (sent []string) {
	t.Helper()
	for ctx := harness.Deadline(t, 3*patience); ; {
		if harness.Got(g.redis.Queued(ctx, "default"))(t) < batch {
			sent = append(sent, g.more(t)...)
		}
		if wanted(harness.Got(w.State(ctx))(t)) {
			return sent
		}
		time.Sleep(50 * time.Millisecond) // asking all the time would be a load of its own; a batch lasts longer
	}
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
