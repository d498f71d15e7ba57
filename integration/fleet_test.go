//go:build integration

package integration

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
)

// fleetTime is how long the mixed fleet is under load; FLEET=60s for the whole minute.
func fleetTime(t *testing.T) time.Duration {
	d, err := time.ParseDuration(os.Getenv("FLEET"))
	if err != nil {
		return 20 * time.Second
	}
	return d
}

// TestAMixedFleetLosesNothing runs stock workers and Crisper on one queue, under
// load, and restarts one of either kind after the other: Crisper also by kill -9.
// Late tasks, so that whatever a dead worker held has to come back; Celery's own
// worker is restarted by TERM only, because by design it may lose what it is
// just taking when it is killed.
func TestAMixedFleetLosesNothing(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	s.App.Transport = map[string]any{"visibility_timeout": 30}
	s.Crisper(t, "-c", "2") // one that stays, to restore for the others
	until := time.Now().Add(fleetTime(t))
	var sender sync.WaitGroup
	var ids []string
	sender.Go(func() { ids = sendFor(t, s, time.Until(until)) })
	for round := 0; time.Now().Before(until); round++ {
		stock, ours := s.Stock(t, "-c", "1"), s.Crisper(t, "-c", "2")
		// They work side by side for a while: the load is what is waited for here.
		time.Sleep(2 * time.Second)
		harness.Must(t, stock.Signal(syscall.SIGTERM))
		if round%2 == 0 {
			harness.Must(t, ours.Signal(syscall.SIGTERM))
		} else {
			harness.Must(t, ours.KillGroup())
		}
		for _, w := range []*harness.Worker{stock, ours} {
			if _, _, err := w.Wait(harness.Deadline(t, 60*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
	}
	sender.Wait()
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 90*time.Second), ids...))
	v := harness.Got(s.Journal.Judge(ids))(t)
	t.Logf("%d tasks, %d lost, %d doubled", v.Tasks, len(v.Lost), len(v.Doubled))
	if len(v.Lost) > 0 {
		t.Errorf("%d of %d tasks were lost: %v", len(v.Lost), v.Tasks, v.Lost)
	}
	isEmpty(t, s)
}

func sendFor(t *testing.T, s *harness.Stage, d time.Duration) []string {
	var ids []string
	for end := time.Now().Add(d); time.Now().Before(end); {
		some, err := s.Client.Bulk(harness.T("sleepy_late", 0.005), 40)
		if err != nil {
			t.Error(err)
			return ids
		}
		ids = append(ids, some...)
		time.Sleep(200 * time.Millisecond) // the rate of the load
	}
	return ids
}

func TestCrisperTakesOverWhatAStockWorkerGivesBack(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	stock := s.Stock(t, "-c", "1")
	running := started(t, s, harness.T("sleepy", 2))
	var ids []string
	for range 10 {
		ids = append(ids, s.Send(t, harness.T("tick")))
	}
	harness.Must(t, stock.Signal(syscall.SIGTERM))
	if _, _, err := stock.Wait(harness.Deadline(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	s.Crisper(t, "-c", "1")
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), append(ids, running)...))
	ranOnce(t, s, append(ids, running))
	isEmpty(t, s)
}

func TestAStockWorkerTakesOverWhatCrisperGivesBack(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "1")
	running := started(t, s, harness.T("sleepy", 2))
	var ids []string
	for range 10 {
		ids = append(ids, s.Send(t, harness.T("tick")))
	}
	leaves(t, w, syscall.SIGTERM)
	s.Stock(t, "-c", "1")
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), append(ids, running)...))
	ranOnce(t, s, append(ids, running))
	isEmpty(t, s)
}

func TestAPeerRestoresWhatAKilledWorkerHeld(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	victim := s.Crisper(t, "-c", "1", "-n", "victim@%h")
	late := started(t, s, harness.T("sleepy_late", 15)) // the peer has to be there before it ends
	var reserved []string
	for range 3 {
		reserved = append(reserved, s.Send(t, harness.T("tick")))
	}
	s.Crisper(t, "-c", "1", "-n", "peer@%h")
	killed, busy := time.Now(), harness.WatchBusy()
	harness.Must(t, victim.KillGroup())
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 90*time.Second), append(reserved, late)...))
	runs := harness.Got(s.Journal.Tasks())(t)[late]
	took := runs.Entries[len(runs.Entries)-2].At().Sub(killed)
	t.Logf("the late task began again %v after the kill", took)
	if runs.Starts != 2 || took > busy.Stretch(12*time.Second) {
		t.Errorf("the late task began %d times, the last %v after the kill", runs.Starts, took)
	}
	isEmpty(t, s)
}
