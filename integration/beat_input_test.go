//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crisper/integration/harness"
)

func TestABeatWhoseAppDoesNotLoadEndsWithItsTraceback(t *testing.T) {
	t.Parallel()
	bed := harness.New(t)
	f := makeFleet(t, bed, beatRedis(t, bed), "--election", "file")
	f.app = "nosuchapp"
	r := f.start()
	code, _, err := r.Wait(harness.Deadline(t, 60*time.Second))
	harness.Must(t, err)
	if log := r.LogText(); code != 4 || !contains(log, "nosuchapp", "Traceback") {
		t.Errorf("exit code %d:\n%s", code, log)
	}
}

func TestABrokersWrongPasswordIsExitCode5(t *testing.T) {
	t.Parallel()
	bed := harness.New(t)
	redis := harness.Got(bed.StartRedis(harness.Deadline(t, 30*time.Second), harness.RedisOptions{Password: "right"}))(t)
	f := makeFleet(t, bed, redis, "--election", "file")
	f.broker = strings.Replace(redis.URL(0), "right", "wr0ng", 1)
	r := f.start()
	code, _, err := r.Wait(harness.Deadline(t, 60*time.Second))
	harness.Must(t, err)
	if log := r.LogText(); code != 5 || strings.Contains(log, "wr0ng") {
		t.Errorf("exit code %d:\n%s", code, log)
	}
}

func TestAnInvalidEntryIsNamedAndTheOthersRun(t *testing.T) {
	t.Parallel()
	bed := harness.New(t)
	f := makeFleet(t, bed, beatRedis(t, bed), "--election", "file")
	f.write(beatApp + "\napp.conf.beat_schedule['broken'] = {'task': 'beatapp.one', 'schedule': 'whenever'}\n" +
		"app.conf.beat_schedule['zero'] = {'task': 'beatapp.one', 'schedule': 0}\n")
	f.grow(1)
	f.ticks(2)
	state := f.leader(time.Minute).state(t.Context())
	named := map[string]string{}
	for _, e := range state.Invalid {
		named[e.Entry] = e.Error
	}
	if len(named) != 2 || named["broken"] == "" || named["zero"] == "" {
		t.Errorf("%v", named)
	}
	f.stop()
	if !contains(f.logs(), `"entry":"broken"`, `"entry":"zero"`, "an entry cannot run; the others do") {
		t.Error("the log does not name them")
	}
}

func TestTicksOfAnOutageAreMadeUpAndTheDeadlineIsKept(t *testing.T) {
	t.Parallel()
	bed := harness.New(t)
	began := time.Now()
	f := newFleet(t, bed, beatRedis(t, bed), 2, "--election", "file")
	f.ticks(1)
	f.redis.Kill()
	time.Sleep(6 * time.Second) // longer than the Lease: it is not the broker's here
	harness.Must(t, f.redis.Start(harness.Deadline(t, 30*time.Second)))
	f.ticks(3)
	if s := f.leader(time.Minute).state(t.Context()); s.Counts.CaughtUp == 0 || s.Term != 1 {
		t.Errorf("term %d, %+v", s.Term, s.Counts)
	}
	f.stop()
	f.exact(began)
}

// A schedule that Celery's own beat has left behind is gone on with.
func TestTheScheduleFileOfCeleryBeatIsReadOnce(t *testing.T) {
	t.Parallel()
	bed := harness.New(t)
	f := makeFleet(t, bed, beatRedis(t, bed), "--election", "file")
	const leave = `
import sys, datetime
from celery.beat import PersistentScheduler
sys.path.insert(0, '.')
from beatapp import app
s = PersistentScheduler(app, schedule_filename='celerybeat-schedule')
s.schedule['one'].last_run_at = app.now() - datetime.timedelta(seconds=7)
s.schedule['one'].total_run_count = 41
s.close()
`
	_, code, err := bed.Run(t.Context(), harness.Command{Name: "stock", Args: []string{bed.Python, "-c", leave}, Dir: f.dir, Env: []string{"BEAT_BROKER=" + f.broker}})
	if err != nil || code != 0 {
		t.Fatal(code, err)
	}
	f.grow(1)
	harness.Must(t, harness.Until(harness.Deadline(t, time.Minute), "the records", func() bool { return f.records()["one"].Count > 0 }))
	f.ticks(1)
	// Seven ticks are made up, and those since then came.
	if r := f.records(); r["one"].Count < 41+7 || r["two"].Count > 20 {
		t.Errorf("%+v", r)
	}
	f.stop()
}

func TestTheStatusTellsWhoLeadsHereAndFromAfar(t *testing.T) {
	t.Parallel()
	bed := harness.New(t)
	f := makeFleet(t, bed, beatRedis(t, bed), "--election", "redis")
	socket := filepath.Join(t.TempDir(), "beat.sock")
	f.more = func(*replica) []string { return []string{"--socket", socket} }
	f.grow(1)
	f.ticks(2)
	holder := f.leader(time.Minute).state(t.Context()).Holder
	for what, args := range map[string][]string{
		"here":      {"--socket", socket},
		"from afar": {"-A", "beatapp", "--python", bed.Python, "--election", "redis", "--lease-name", "fleet"},
	} {
		out, code, err := bed.Run(t.Context(), harness.Command{Name: "status", Dir: f.dir, Env: []string{"BEAT_BROKER=" + f.broker},
			Args: append([]string{bed.Binary, "beat", "status"}, args...)})
		var status struct {
			Lease struct {
				Leader string
				Term   int
			}
			Last, Next []struct{ Entry, Task, Due string }
		}
		if err != nil || code != 0 {
			t.Fatal(what, out, code, err)
		}
		harness.Must(t, json.Unmarshal([]byte(out), &status))
		if status.Lease.Leader != holder || status.Lease.Term != 1 || len(status.Last) < 3 || len(status.Next) < 4 || status.Next[0].Task == "" {
			t.Errorf("%s: %s", what, out)
		}
	}
	f.stop()
}

// The preview of the real app, through its own Python, is what Celery says.
func TestThePreviewIsThatOfTheApp(t *testing.T) {
	t.Parallel()
	bed := harness.New(t)
	f := makeFleet(t, bed, beatRedis(t, bed))
	out, code, err := bed.Run(t.Context(), harness.Command{Name: "preview", Dir: f.dir, Env: []string{"BEAT_BROKER=" + f.broker},
		Args: []string{bed.Binary, "beat", "preview", "-A", "beatapp", "--python", bed.Python, "--entry", "minute", "--from", "2026-03-29T01:58", "--until", "2026-03-29T03:02"}})
	if err != nil || code != 0 {
		t.Fatal(out, code, err)
	}
	var due []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var tick struct{ Entry, Task, Due string }
		harness.Must(t, json.Unmarshal([]byte(line), &tick))
		if tick.Entry != "minute" || tick.Task != "beatapp.minute" {
			t.Errorf("%+v", tick)
		}
		due = append(due, tick.Due)
	}
	want := []string{"2026-03-29T00:59:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:01:00Z", "2026-03-29T01:02:00Z"}
	if strings.Join(due, " ") != strings.Join(want, " ") {
		t.Errorf("%v", due)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "celerybeat-schedule.lease")); err == nil {
		t.Error("a preview has left a Lease behind")
	}
}
