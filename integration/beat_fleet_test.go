//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/beat"
	"crisper/beat/ops"
	"crisper/integration/harness"
)

// beatApp has three entries every second, one with a message of the app's own, and a
// crontab every minute.
const beatApp = `
import os
from celery import Celery
from celery.schedules import crontab
from celery.signals import before_task_publish

app = Celery('beatapp', broker=os.environ['BEAT_BROKER'])
app.conf.timezone = 'Europe/Berlin'
app.conf.beat_schedule = {
    'one': {'task': 'beatapp.one', 'schedule': 1.0},
    'two': {'task': 'beatapp.two', 'schedule': 1.0, 'args': (1, 2)},
    'asked': {'task': 'beatapp.asked', 'schedule': 1.0},
    'minute': {'task': 'beatapp.minute', 'schedule': crontab()},
}

@before_task_publish.connect(sender='beatapp.asked')
def touch(headers=None, **kwargs):
    headers['touched'] = 'yes'
`

// secondly are the entries of beatApp that are due every second.
var secondly = []string{"one", "two", "asked"}

// Options of an election that is quick, for tests that hold many.
const leaseFor = 3 * time.Second

var quickLease = []string{"--lease-duration", "3s", "--renew-deadline", "2s", "--retry-period", "300ms"}

// replica is one running `crisper beat`.
type replica struct {
	*harness.Worker
	api *apiWay // to the API server; nil: there is none
}

// fleet is several replicas of one schedule.
type fleet struct {
	t        *testing.T
	bed      *harness.Bed
	redis    *harness.Redis
	app, dir string
	broker   string
	options  []string
	replicas []*replica
	schedule string
	// more are options of each replica's own.
	more func(r *replica) []string
}

// newFleet writes the app and starts n replicas.
func newFleet(t *testing.T, bed *harness.Bed, redis *harness.Redis, n int, options ...string) *fleet {
	t.Helper()
	f := makeFleet(t, bed, redis, options...)
	f.grow(n)
	return f
}

// makeFleet writes the app.
func makeFleet(t *testing.T, bed *harness.Bed, redis *harness.Redis, options ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, bed: bed, redis: redis, app: "beatapp", dir: bed.Path("app"), broker: redis.URL(0), schedule: "fleet",
		options: append(append([]string{"--lease-name", "fleet"}, quickLease...), options...)}
	harness.Must(t, os.MkdirAll(f.dir, 0o755))
	f.write(beatApp)
	return f
}

// grow starts n more replicas and waits until they campaign.
func (f *fleet) grow(n int) {
	f.t.Helper()
	for range n {
		f.replicas = append(f.replicas, f.start())
	}
	for _, r := range f.replicas {
		harness.Must(f.t, r.WaitReady(harness.Deadline(f.t, 60*time.Second)))
	}
}

// write replaces the app.
func (f *fleet) write(app string) {
	f.t.Helper()
	harness.Must(f.t, os.WriteFile(filepath.Join(f.dir, f.app+".py"), []byte(app), 0o644))
}

// start starts a replica and does not wait.
func (f *fleet) start(options ...string) *replica {
	f.t.Helper()
	address := "127.0.0.1:" + strconv.Itoa(harness.Got(harness.FreePort())(f.t))
	args := append([]string{f.bed.Binary, "beat", "-A", f.app, "--python", f.bed.Python, "--http", address, "--socket", "off", "--log-format", "json", "-l", "INFO"}, f.options...)
	args = append(args, options...)
	r := &replica{Worker: &harness.Worker{HTTP: address}}
	if f.more != nil {
		args = append(args, f.more(r)...)
	}
	r.Process = harness.Got(f.bed.Start(harness.Command{Name: "beat", Args: args, Dir: f.dir,
		Env: []string{"BEAT_BROKER=" + f.broker, "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"}}))(f.t)
	return r
}

// state is /state; the zero value when it does not answer.
func (r *replica) state(ctx context.Context) (s ops.State) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, body, err := r.Get(ctx, "/state")
	if err == nil {
		_ = json.Unmarshal([]byte(body), &s) // what is no state is the zero value
	}
	return s
}

// leader waits for one that leads, other than the given ones, and is connected.
func (f *fleet) leader(within time.Duration, not ...*replica) *replica {
	f.t.Helper()
	var found *replica
	harness.Must(f.t, harness.Until(harness.Deadline(f.t, within), "a leader", func() bool {
		for _, r := range f.replicas {
			if s := r.state(f.t.Context()); s.Leader && s.Broker.Connected && !among(not, r) {
				found = r
				return true
			}
		}
		return false
	}))
	return found
}

func among(all []*replica, r *replica) bool {
	for _, other := range all {
		if other == r {
			return true
		}
	}
	return false
}

// replace starts another in the place of one that has ended.
func (f *fleet) replace(gone *replica) *replica {
	f.t.Helper()
	next := f.start()
	for i, r := range f.replicas {
		if r == gone {
			f.replicas[i] = next
		}
	}
	harness.Must(f.t, next.WaitReady(harness.Deadline(f.t, 60*time.Second)))
	return next
}

// ticks waits until so many more ticks of the first entry are recorded.
func (f *fleet) ticks(n int64) {
	f.t.Helper()
	want := f.records()["one"].Count + n
	harness.Must(f.t, harness.Until(harness.Deadline(f.t, 60*time.Second), "more ticks", func() bool { return f.records()["one"].Count >= want }))
}

// stop ends all replicas, each with exit code 0 within a second.
func (f *fleet) stop() {
	f.t.Helper()
	for _, r := range f.replicas {
		harness.Must(f.t, r.Signal(syscall.SIGTERM))
		began, busy := time.Now(), harness.WatchBusy()
		code, at, err := r.Wait(harness.Deadline(f.t, 60*time.Second))
		harness.Must(f.t, err)
		if took, allowed := at.Sub(began), busy.Stretch(1500*time.Millisecond); code != 0 || took > allowed {
			f.t.Errorf("exit code %d after %s; %s are allowed on this machine", code, took, allowed)
		}
	}
}

// records are those in the broker's Redis; without an answer there are none.
func (f *fleet) records() map[string]beat.Record {
	found := map[string]beat.Record{}
	all, err := f.redis.Client.HGetAll(f.t.Context(), "crisper.beat.records."+f.schedule).Result()
	if err != nil {
		return found
	}
	for name, text := range all {
		var last, count int64
		if _, err := fmt.Sscan(text, &last, &count); err != nil {
			f.t.Fatalf("cannot read the record %q: %v", text, err)
		}
		found[name] = beat.Record{Last: time.UnixMicro(last).UTC(), Count: count}
	}
	return found
}

// tally is what the messages in the broker come to.
type tally struct{ due, missed, doubled, strange int }

func (t tally) String() string {
	return fmt.Sprintf("%d ticks due, %d missed, %d doubled, %d that nobody asked for", t.due, t.missed, t.doubled, t.strange)
}

// count compares the messages in the queue with the due moments since began.
func (f *fleet) count(began time.Time) tally {
	f.t.Helper()
	sent := map[string]int{}
	for _, id := range harness.Got(f.redis.IDs(f.t.Context(), "celery"))(f.t) {
		sent[id]++
	}
	var sum tally
	records := f.records()
	for _, entry := range secondly {
		r := records[entry]
		for n := range r.Count {
			sum.look(sent, beat.TaskID(f.schedule, entry, r.Last.Add(-time.Duration(n)*time.Second)))
		}
	}
	for due := began.Truncate(time.Minute).Add(time.Minute); !due.After(records["minute"].Last); due = due.Add(time.Minute) {
		sum.look(sent, beat.TaskID(f.schedule, "minute", due))
	}
	for range maps.Keys(sent) {
		sum.strange++
	}
	return sum
}

func (t *tally) look(sent map[string]int, id string) {
	t.due++
	switch n := sent[id]; {
	case n == 0:
		t.missed++
	case n > 1:
		t.doubled++
	}
	delete(sent, id)
}

// exact fails unless every tick was sent once, and ticks went on all the time.
func (f *fleet) exact(began time.Time) {
	f.t.Helper()
	ended := time.Now()
	sum := f.count(began)
	f.t.Logf("%s in %s", sum, ended.Sub(began).Round(time.Second))
	if sum.missed+sum.doubled+sum.strange > 0 {
		f.t.Errorf("%s", sum)
	}
	for _, entry := range secondly {
		if late := ended.Sub(f.records()[entry].Last); late > 10*time.Second {
			f.t.Errorf("the last tick of %s is %s old", entry, late)
		}
	}
	if log := f.logs(); strings.Contains(log, "panic:") || strings.Contains(log, "DATA RACE") {
		f.t.Error("a replica panicked")
	}
}

func (f *fleet) logs() string {
	var all strings.Builder
	for _, r := range f.replicas {
		all.WriteString(r.LogText())
	}
	return all.String()
}
