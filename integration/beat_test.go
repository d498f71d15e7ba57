//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
)

// rounds is how often each fault happens.
func rounds(t *testing.T) int {
	if testing.Short() {
		return 1
	}
	return 3
}

// Measures of a take-over, as promised.
const (
	afterKill = leaseFor + 2*time.Second
	afterTerm = time.Second
)

func beatRedis(t *testing.T, bed *harness.Bed) *harness.Redis {
	t.Helper()
	return harness.Got(bed.StartRedis(harness.Deadline(t, 30*time.Second), harness.RedisOptions{Durable: true}))(t)
}

func TestBeatMissesAndDoublesNoTickWhateverHappensToTheLeader(t *testing.T) {
	t.Parallel()
	for _, election := range []string{"file", "redis"} {
		t.Run(election, func(t *testing.T) {
			t.Parallel()
			bed := harness.New(t)
			began := time.Now()
			f := newFleet(t, bed, beatRedis(t, bed), 3, "--election", election)
			f.faults(rounds(t))
			f.stop()
			f.exact(began)
		})
	}
}

func TestBeatIsTheSameWithTheOldestCelery(t *testing.T) {
	t.Parallel()
	bed := harness.NewWith(t, harness.Old(t))
	began := time.Now()
	f := newFleet(t, bed, beatRedis(t, bed), 2, "--election", "file")
	f.faults(1)
	f.stop()
	f.exact(began)
}

// faults breaks the leader in every way, so many times.
func (f *fleet) faults(rounds int) {
	for range rounds {
		f.kill()
		f.term()
		f.freeze()
		f.restartInPlace()
		f.restartRedis()
	}
}

// within measures a take-over.
func (f *fleet) within(what string, bound time.Duration, old *replica) {
	f.t.Helper()
	began, busy := time.Now(), harness.WatchBusy()
	f.leader(bound+time.Minute, old)
	took := time.Since(began)
	allowed := busy.Stretch(bound)
	f.t.Logf("%s: another leads after %s (%s on this machine: %s)", what, took.Round(10*time.Millisecond), bound, allowed.Round(10*time.Millisecond))
	if took > allowed {
		f.t.Errorf("%s: another leads after %s, which is more than %s, on a machine as busy as this one %s", what, took, bound, allowed)
	}
}

func (f *fleet) kill() {
	f.t.Helper()
	old := f.leader(20 * time.Second)
	harness.Must(f.t, old.Kill())
	f.within("kill -9", afterKill, old)
	f.replace(old)
	f.ticks(2)
}

func (f *fleet) term() {
	f.t.Helper()
	old := f.leader(20 * time.Second)
	harness.Must(f.t, old.Signal(syscall.SIGTERM))
	f.within("TERM", afterTerm, old)
	if code, _, err := old.Wait(harness.Deadline(f.t, 60*time.Second)); err != nil || code != 0 {
		f.t.Errorf("exit code %d, %v", code, err)
	}
	f.replace(old)
	f.ticks(2)
}

// freeze stops the leader for longer than its Lease: it wakes up believing.
func (f *fleet) freeze() {
	f.t.Helper()
	old := f.leader(20 * time.Second)
	harness.Must(f.t, old.Signal(syscall.SIGSTOP))
	for f.lockedUp() {
		harness.Must(f.t, old.Signal(syscall.SIGCONT))
		f.ticks(1)
		old = f.leader(20 * time.Second)
		harness.Must(f.t, old.Signal(syscall.SIGSTOP))
	}
	f.within("STOP", afterKill, old)
	f.ticks(2)
	harness.Must(f.t, old.Signal(syscall.SIGCONT))
	harness.Must(f.t, old.WaitReady(harness.Deadline(f.t, 10*time.Second)))
	f.ticks(2)
}

// lockedUp: what was stopped holds the lock of the Lease's file, and keeps everybody
// out until it goes on (beat/lease/filelease says so). It holds it for milliseconds.
func (f *fleet) lockedUp() bool {
	lock, err := os.Open(filepath.Join(f.dir, "celerybeat-schedule.lease.lock"))
	if err != nil {
		return false // another election
	}
	defer lock.Close()
	for range 20 {
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return false
		}
		time.Sleep(10 * time.Millisecond) // another may hold it for a moment
	}
	return true
}

// restartInPlace is a container that is killed and started again at once: the same
// place, and another candidate.
func (f *fleet) restartInPlace() {
	f.t.Helper()
	old := f.leader(20 * time.Second)
	harness.Must(f.t, old.Kill())
	f.replace(old)
	f.leader(afterKill + 10*time.Second)
	f.ticks(2)
}

func (f *fleet) restartRedis() {
	f.t.Helper()
	f.leader(20 * time.Second)
	f.redis.Kill()
	time.Sleep(1500 * time.Millisecond) // an outage of a moment: ticks fall due in it
	harness.Must(f.t, f.redis.Start(harness.Deadline(f.t, 30*time.Second)))
	f.leader(20 * time.Second)
	f.ticks(2)
}

func TestABeatTakesItsAppAnewOnHUPAndWhenAWatchedFileChanges(t *testing.T) {
	t.Parallel()
	bed := harness.New(t)
	f := newFleet(t, bed, beatRedis(t, bed), 1, "--election", "file", "--reload-on-change", filepath.Join(bed.Path("app2"), "watched"))
	lead := f.leader(20 * time.Second)
	f.ticks(1)
	f.write(beatApp + "\napp.conf.beat_schedule['fresh'] = {'task': 'beatapp.fresh', 'schedule': 1.0}\ndel app.conf.beat_schedule['two']\n")
	harness.Must(t, lead.Signal(syscall.SIGHUP))
	harness.Must(t, harness.Until(harness.Deadline(t, 30*time.Second), "the new entry", func() bool { return f.records()["fresh"].Count >= 2 }))
	if _, still := f.records()["two"]; still {
		t.Error("the entry that was dropped has a record still")
	}
	f.write("this is no Python")
	harness.Must(t, lead.Signal(syscall.SIGHUP))
	harness.Got(lead.WaitLog(harness.Deadline(t, 30*time.Second), "cannot load the app; its entries stay as they were"))(t)
	f.ticks(2)
	f.write(beatApp)
	harness.Must(t, os.MkdirAll(bed.Path("x"), 0o755))
	harness.Must(t, os.MkdirAll(filepath.Dir(f.options[len(f.options)-1]), 0o755))
	harness.Must(t, os.WriteFile(f.options[len(f.options)-1], []byte("changed"), 0o644))
	harness.Must(t, harness.Until(harness.Deadline(t, 40*time.Second), "the old entry to be back", func() bool { return f.records()["two"].Count >= 1 }))
	f.stop()
}

func TestTicksGoOnWithoutPythonAndTheAppsOwnMessagesAreMadeUp(t *testing.T) {
	t.Parallel()
	bed := harness.New(t)
	began := time.Now()
	f := newFleet(t, bed, beatRedis(t, bed), 1, "--election", "file")
	f.leader(20 * time.Second)
	for range rounds(t) {
		f.ticks(1)
		killTimekeeper(t, f.replicas[0])
		f.ticks(3)
	}
	asked := f.records()["asked"].Count
	harness.Must(t, harness.Until(harness.Deadline(t, 30*time.Second), "the app's own messages", func() bool { return f.records()["asked"].Count >= asked+2 }))
	f.stop()
	f.exact(began)
}

func killTimekeeper(t *testing.T, r *replica) {
	t.Helper()
	children := harness.Got(os.ReadFile("/proc/" + itoa(r.PID()) + "/task/" + itoa(r.PID()) + "/children"))(t)
	for _, pid := range fields(string(children)) {
		harness.Must(t, syscall.Kill(pid, syscall.SIGKILL))
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func fields(text string) (pids []int) {
	for _, word := range strings.Fields(text) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
