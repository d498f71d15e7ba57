//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/broker/amqpbroker/servertest"
	"crisper/integration/bench/proctree"
	"crisper/integration/harness"
)

// killed ends a whole Celery worker at once, as the kernel does when memory is short.
func killed(t *testing.T, main int) {
	t.Helper()
	for _, pid := range proctree.PIDs(main) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have gone with the first
	}
}

// withErrback sends a task that sleeps, with an errback, and waits until it runs.
func withErrback(t *testing.T, s *harness.Stage, seconds int) (id string) {
	t.Helper()
	harness.Must(t, s.Client.Eval(fmt.Sprintf(`sleepy.apply_async((%d,), link_error=on_error.s()).id`, seconds), &id))
	harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), id))
	return id
}

// errbackOf waits until the errback of a task has run, somewhere.
func errbackOf(t *testing.T, s *harness.Stage, id string) {
	t.Helper()
	harness.Must(t, harness.Until(harness.Deadline(t, 30*time.Second), "the errback", func() bool {
		entries, _ := s.Journal.Entries()
		for _, e := range entries {
			if e.Event == "errback" && e.Failed == id {
				return true
			}
		}
		return false
	}))
}

// fails compares what is recorded of a task; behind the signal there is more about memory.
func fails(t *testing.T, s *harness.Stage, id, want string) {
	t.Helper()
	if r := s.Result(t, id); r.State != "FAILURE" || !strings.HasPrefix(r.Text(), want) {
		t.Errorf("%s with %s, want FAILURE with %s", r.State, r.Text(), want)
	}
}

const killedWords = "WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL)"

func TestAnEarlyTaskThatGoesWithItsWorkerIsRecordedAsFailed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		o    func(*testing.T) harness.Options
		args []string
		on   func(*testing.T, *harness.Stage)
	}{
		{name: "prefork", args: []string{"-c", "2"}},
		{name: "prefork, the oldest Celery", o: harness.Old, args: []string{"-c", "2"}},
		{name: "threads", args: []string{"-P", "threads", "-c", "2"}},
		{name: "gevent", o: harness.Gevent, args: []string{"-P", "gevent", "-c", "10"}},
		{name: "prefork, RabbitMQ", args: []string{"-c", "2"}, on: onRabbitMQ},
		{name: "prefork, RabbitMQ, the oldest Celery", o: harness.Old, args: []string{"-c", "2"}, on: onRabbitMQ},
		{name: "prefork, files", args: []string{"-c", "2"}, on: onFiles},
		{name: "solo, files, which forget what they gave away", args: []string{"-P", "solo"}, on: onFiles},
	} {
		t.Run(c.name, func(t *testing.T) {
			var o harness.Options
			if c.o != nil {
				o = c.o(t)
			}
			s := harness.NewStage(t, o)
			if c.on != nil {
				c.on(t, s)
			}
			w := wrap(t, s, c.args...).ready()
			id := withErrback(t, s, 120)
			killed(t, w.slot(0).PID)
			fails(t, s, id, killedWords)
			errbackOf(t, s, id)
			_ = harness.Got(w.WaitLog(harness.Deadline(t, 20*time.Second), `"tasks that went with their worker are recorded as failed".*"tasks":1,"recorded_before":0`))(t)
			if r := harness.Got(s.Journal.Tasks())(t)[id]; r.Starts != 1 {
				t.Errorf("started %d times", r.Starts)
			}
			harness.Must(t, w.Signal(syscall.SIGTERM))
			w.ends(0)
		})
	}
}

// Under the solo pool the broker hears of the early acknowledgment when the task has ended
// and the loop goes on: a task that goes with its worker is delivered again, by whichever
// broker, and has not failed.
func TestATaskWhoseEarlyAcknowledgmentTheBrokerNeverHeardRunsAgainAndHasNotFailed(t *testing.T) {
	t.Parallel()
	for _, rabbit := range []bool{false, true} {
		t.Run(fmt.Sprintf("rabbit=%t", rabbit), func(t *testing.T) {
			s := harness.NewStage(t, harness.Options{})
			if rabbit {
				onRabbitMQ(t, s)
			}
			w := wrap(t, s, "-P", "solo").ready()
			id := withErrback(t, s, 6)
			killed(t, w.slot(0).PID)
			harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 60*time.Second), id))
			if r := s.Result(t, id); r.State != "SUCCESS" {
				t.Errorf("%s with %s", r.State, r.Text())
			}
			if r := harness.Got(s.Journal.Tasks())(t)[id]; r.Starts != 2 {
				t.Errorf("started %d times", r.Starts)
			}
			if log := w.LogText(); strings.Contains(log, "recorded as failed") || strings.Contains(log, "gone with its worker") {
				t.Error("it was taken for lost")
			}
			harness.Must(t, w.Signal(syscall.SIGTERM))
			w.ends(0)
		})
	}
}

// onRabbitMQ moves a stage to a queue of its own on a RabbitMQ. Results stay on Redis.
func onRabbitMQ(t *testing.T, s *harness.Stage) {
	t.Helper()
	queue := filepath.Base(s.Dir)
	s.App.Broker = "amqp://guest:guest@" + servertest.RabbitMQ(t).Addr() + "//"
	s.App.Conf = map[string]any{"task_default_queue": queue, "task_queues": map[string]any{queue: map[string]any{"exchange": queue}}}
	s.Client = harness.Got(s.StartClient(s.App))(t)
}

// onFiles is the same with the filesystem transport.
func onFiles(t *testing.T, s *harness.Stage) {
	t.Helper()
	s.App.Broker, s.App.Transport = "filesystem://", map[string]any{}
	queue, control := s.Path("queue"), s.Path("control")
	for option, dir := range map[string]string{"data_folder_in": queue, "data_folder_out": queue, "control_folder": control} {
		s.App.Transport[option] = dir
		harness.Must(t, os.MkdirAll(dir, 0o755))
	}
	s.Client = harness.Got(s.StartClient(s.App))(t)
}

func TestATaskThatIsCutOffWithItsWorkerIsRecordedWithinTheGrace(t *testing.T) {
	t.Parallel()
	const words = "WorkerLostError: Task was cut off: the worker's grace period ended before it did."
	for _, c := range []struct {
		name string
		args []string
		send []syscall.Signal
		exit int
	}{
		{name: "prefork, the grace ends", args: []string{"-c", "2", "--grace", "15"}, send: []syscall.Signal{syscall.SIGTERM}},
		{name: "threads, the grace ends", args: []string{"-P", "threads", "-c", "2", "--grace", "15"}, send: []syscall.Signal{syscall.SIGTERM}},
		{name: "prefork, TERM twice", args: []string{"-c", "2"}, send: []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}},
		{name: "prefork, QUIT", args: []string{"-c", "2"}, send: []syscall.Signal{syscall.SIGQUIT}, exit: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := harness.NewStage(t, harness.Options{})
			w := wrap(t, s, c.args...).ready()
			var id string
			harness.Must(t, s.Client.Eval(`sleepy.apply_async((120,), link_error=on_error.s()).id`, &id))
			harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), id))
			begun, busy := time.Now(), harness.WatchBusy()
			for i, sig := range c.send {
				if i > 0 {
					_ = harness.Got(w.WaitLog(harness.Deadline(t, 10*time.Second), `"to":"draining"`))(t)
				}
				harness.Must(t, w.Signal(sig))
			}
			w.ends(c.exit)
			if took, most := time.Since(begun), busy.Stretch(15*time.Second); strings.Contains(c.name, "grace") && took > most {
				t.Errorf("it took %s, of a grace of 15 s", took)
			}
			fails(t, s, id, words)
			if !strings.Contains(w.LogText(), `"tasks that went with their worker are recorded as failed"`) {
				t.Error("the log does not say so")
			}
		})
	}
}

func TestWhatCeleryHasRecordedOfATaskStaysWhenItsWorkerGoes(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := wrap(t, s, "-c", "3").ready()
	// One whose pool process dies alone: that is the worker's to say.
	var alone string
	harness.Must(t, s.Client.Eval(`die.apply_async(link_error=on_error.s()).id`, &alone))
	errbackOf(t, s, alone)
	before := s.Result(t, alone)
	if want := "WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL) Job: "; !strings.HasPrefix(before.Text(), want) {
		t.Errorf("Celery's own words are %s, not %s", before.Text(), want)
	}
	// One that ends and says so to the backend, and not to a worker that stands still.
	ends := withErrback(t, s, 2)
	runs := withErrback(t, s, 120)
	main := w.slot(0).PID
	harness.Must(t, syscall.Kill(main, syscall.SIGSTOP))
	if r := s.Result(t, ends); r.State != "SUCCESS" {
		t.Fatalf("%s with %s", r.State, r.Text())
	}
	killed(t, main)
	fails(t, s, runs, killedWords)
	errbackOf(t, s, runs)
	_ = harness.Got(w.WaitLog(harness.Deadline(t, 20*time.Second), `recorded as failed".*"recorded_before":1\b`))(t)
	_ = harness.Got(w.WaitLog(harness.Deadline(t, 20*time.Second), `recorded as failed".*"tasks":1,`))(t) // perhaps not with the other
	if r := s.Result(t, ends); r.State != "SUCCESS" {
		t.Errorf("what had succeeded is %s", r.State)
	}
	if r := s.Result(t, alone); r.Text() != before.Text() {
		t.Errorf("what Celery had recorded is %s", r.Text())
	}
	for _, e := range harness.Got(s.Journal.Entries())(t) {
		if e.Event == "errback" && e.Failed == ends {
			t.Error("the errback of a task that succeeded ran")
		}
	}
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestAChordWhosePartGoesWithItsWorkerFails(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := wrap(t, s, "-c", "2").ready()
	var ids []string
	harness.Must(t, s.Client.Eval(`[(lambda r: [r.id, r.parent.results[0].id])(chord([sleepy.s(120), add.s(1, 1)])(total.s()))][0]`, &ids))
	harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), ids[1]))
	killed(t, w.slot(0).PID)
	fails(t, s, ids[1], killedWords)
	fails(t, s, ids[0], "ChordError: Dependency "+ids[1]+" raised WorkerLostError")
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestWhatCannotBeRecordedIsTriedAgainAndThenSaid(t *testing.T) {
	t.Parallel()
	t.Run("the backend comes back", func(t *testing.T) {
		s, backend := twoServers(t)
		w := wrap(t, s, "-c", "2").ready()
		id := withErrback(t, s, 120)
		backend.Kill()
		killed(t, w.slot(0).PID)
		_ = harness.Got(w.WaitLog(harness.Deadline(t, 30*time.Second), `Error .*connecting to`))(t)
		harness.Must(t, backend.Start(harness.Deadline(t, 30*time.Second)))
		fails(t, s, id, killedWords)
		errbackOf(t, s, id)
		harness.Must(t, w.Signal(syscall.SIGTERM))
		w.ends(0)
	})
	t.Run("it stays away until the grace is over", func(t *testing.T) {
		s, backend := twoServers(t)
		w := wrap(t, s, "-c", "2", "--grace", "6").ready()
		id := withErrback(t, s, 120)
		backend.Kill()
		begun, busy := time.Now(), harness.WatchBusy()
		harness.Must(t, w.Signal(syscall.SIGTERM))
		w.ends(0)
		if took, most := time.Since(begun), busy.Stretch(6*time.Second); took > most {
			t.Errorf("it took %s, of a grace of 6 s", took)
		}
		if log := w.LogText(); !strings.Contains(log, `who waits for it waits in vain","task":"sample.sleepy","id":"`+id) {
			t.Error("it is not said that nothing is recorded")
		}
	})
	t.Run("the app does not load any more", func(t *testing.T) {
		s := harness.NewStage(t, harness.Options{})
		copied, path := t.TempDir(), s.Root+"/integration/sample/sample.py"
		harness.Must(t, os.WriteFile(copied+"/sample.py", harness.Got(os.ReadFile(path))(t), 0o644))
		s.App.Env = append(s.App.Env, "PYTHONPATH="+copied)
		w := wrap(t, s, "-c", "2").ready()
		id := withErrback(t, s, 120)
		harness.Must(t, os.WriteFile(copied+"/sample.py", []byte("raise ImportError('it is gone')\n"), 0o644))
		killed(t, w.slot(0).PID)
		_ = harness.Got(w.WaitLog(harness.Deadline(t, 60*time.Second), `who waits for it waits in vain","task":"sample.sleepy","id":"`+id+`".*it is gone`))(t)
		harness.Must(t, w.Signal(syscall.SIGTERM))
		w.ends(0)
	})
	t.Run("the message was too large to be kept", func(t *testing.T) {
		s := harness.NewStage(t, harness.Options{})
		w := wrap(t, s, "-c", "2").ready()
		var id string
		harness.Must(t, s.Client.Eval(`sleepy.apply_async((120,), headers={"x-padding": "x" * (300 << 10)}).id`, &id))
		harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), id))
		killed(t, w.slot(0).PID)
		_ = harness.Got(w.WaitLog(harness.Deadline(t, 30*time.Second), `who waits for it waits in vain","task":"sample.sleepy","id":"`+id+`".*it is large`))(t)
		harness.Must(t, w.Signal(syscall.SIGTERM))
		w.ends(0)
	})
}

// twoServers is a stage whose results are on a server of their own.
func twoServers(t *testing.T) (*harness.Stage, *harness.Redis) {
	t.Helper()
	s := harness.NewStage(t, harness.Options{})
	backend := harness.Got(s.StartRedis(harness.Deadline(t, 30*time.Second), harness.RedisOptions{Durable: true}))(t)
	s.App.Backend = backend.URL(0)
	s.Client = harness.Got(s.StartClient(s.App))(t)
	return s, backend
}

func TestAnEarlyTaskThatGoesWithAPrefixedWorkerIsRecordedBeforeTheEndIsOver(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]struct {
		o    func(*testing.T) harness.Options
		args []string
	}{"newest": {nil, []string{"-c", "2"}}, "oldest": {harness.Old, []string{"-c", "2"}}, "gevent": {harness.Gevent, []string{"-P", "gevent"}}} {
		t.Run(name, func(t *testing.T) {
			var o harness.Options
			if set.o != nil {
				o = set.o(t)
			}
			s := harness.NewStage(t, o)
			e := prefixed(t, s, nil, set.args...)
			id := withErrback(t, s, 120)
			killed(t, harness.Got(e.State(harness.Deadline(t, 5*time.Second)))(t).Slots[0].PID)
			e.ends(137)
			if r := harness.Got(s.Client.Results(0, id))(t)[id]; r.State != "FAILURE" || !strings.HasPrefix(r.Text(), killedWords) {
				t.Errorf("%s with %s", r.State, r.Text())
			}
			errbackOf(t, s, id) // it takes three arguments: such are called where the failure is recorded
		})
	}
}
