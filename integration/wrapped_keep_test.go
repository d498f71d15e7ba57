//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/integration/bench/proctree"
	"crisper/integration/harness"
	"crisper/supervisor/ops"
)

// late makes every task of the app one that is acknowledged late.
var late = map[string]any{"task_acks_late": true}

func eachCelery(t *testing.T, test func(t *testing.T, o harness.Options)) {
	t.Run("newest", func(t *testing.T) { test(t, harness.Options{}) })
	t.Run("oldest", func(t *testing.T) { test(t, harness.Old(t)) })
}

// reserved waits until a worker has all these deliveries in hand.
func (w *wrapped) reserved(s *harness.Stage, n int) {
	w.t.Helper()
	ctx := harness.Deadline(w.t, 30*time.Second)
	for {
		if got, err := s.Redis.Unacked(ctx); err == nil && got == n {
			return
		} else if ctx.Err() != nil {
			w.t.Fatalf("%d deliveries in hand, want %d; %v", got, n, err)
		}
		time.Sleep(20 * time.Millisecond) // kombu tells nobody what it takes
	}
}

func TestWhatAKilledWorkerHeldGoesBackAtOnceAndOnce(t *testing.T) {
	eachCelery(t, func(t *testing.T, o harness.Options) {
		s := harness.NewStage(t, o)
		s.App.Conf = late
		w := wrap(t, s, "-c", "2").ready()
		var ids []string
		for range 2 {
			ids = append(ids, s.Send(t, harness.T("sleepy", 6)))
		}
		harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), ids...))
		for n := range 6 {
			ids = append(ids, s.Send(t, harness.T("tick", n)))
		}
		w.reserved(s, 8) // two that run, and six behind them
		pid, killed, busy := w.slot(0).PID, time.Now(), harness.WatchBusy()
		harness.Must(t, syscall.Kill(pid, syscall.SIGKILL))
		_ = harness.Got(w.WaitLog(harness.Deadline(t, 10*time.Second), `"what a worker held was given back"`))(t)
		if took := time.Since(killed); took > busy.Stretch(time.Second) {
			t.Errorf("given back after %s", took)
		}
		harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 40*time.Second), ids...))
		harness.Must(t, s.Redis.UntilEmpty(harness.Deadline(t, 20*time.Second), "default"))
		tasks := harness.Got(s.Journal.Tasks())(t)
		for i, id := range ids {
			starts := 1
			if i < 2 {
				starts = 2
			}
			if r := tasks[id]; r.Starts != starts || r.Ends != 1 {
				t.Errorf("task %d: started %d times, ended %d times", i, r.Starts, r.Ends)
			}
		}
		if !strings.Contains(w.LogText(), `"deliveries":8`) {
			t.Error("not exactly eight deliveries were given back")
		}
		harness.Must(t, w.Signal(syscall.SIGTERM))
		w.ends(0)
	})
}

// Celery forgets what it had reserved when its connection is lost, and puts it back, which
// fails where Redis is what is gone. Only the newest: 5.3 often listens no more after that
// (TestAWorkerThatStoppedListening…), and cannot acknowledge what runs.
func TestWhatAWorkerForgetsWhenRedisRestartsComesBackAndRunsOnce(t *testing.T) {
	s := harness.Got(harness.NewWith(t, harness.Options{}).Stage(harness.Deadline(t, 30*time.Second), harness.RedisOptions{Durable: true}))(t)
	s.App.Conf = late
	w := wrap(t, s, "-c", "1").ready()
	ids := []string{s.Send(t, harness.T("sleepy", 4))}
	harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), ids...))
	for n := range 3 {
		ids = append(ids, s.Send(t, harness.T("tick", n)))
	}
	w.reserved(s, 4) // one that runs, and three behind it
	s.Redis.Kill()
	_ = harness.Got(w.WaitLog(harness.Deadline(t, 20*time.Second), `[Cc]onnection to broker lost`))(t)
	harness.Must(t, s.Redis.Start(harness.Deadline(t, 20*time.Second)))
	_ = harness.Got(w.WaitLog(harness.Deadline(t, 60*time.Second), `"what a worker forgot when it lost its connection was given back".*"deliveries":3`))(t)
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 60*time.Second), ids...))
	harness.Must(t, s.Redis.UntilEmpty(harness.Deadline(t, 20*time.Second), "default"))
	w.reserved(s, 0) // acknowledged, what ran meanwhile too
	tasks := harness.Got(s.Journal.Tasks())(t)
	for _, id := range ids {
		if r := tasks[id]; r.Starts != 1 || r.Ends != 1 {
			t.Errorf("task %s started %d times and ended %d times, want once", id, r.Starts, r.Ends)
		}
	}
}

func TestAnEarlyTaskThatDiesWithItsWorkerIsNamedAndCounted(t *testing.T) {
	s := harness.NewStage(t, harness.Options{})
	w := wrap(t, s, "-c", "1").ready()
	id := s.Send(t, harness.T("sleepy", 30))
	harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), id))
	behind := s.Send(t, harness.T("tick"))
	w.reserved(s, 1) // the other one is acknowledged
	harness.Must(t, syscall.Kill(w.slot(0).PID, syscall.SIGKILL))
	line := harness.Got(w.WaitLog(harness.Deadline(t, 10*time.Second), `"a task that was acknowledged early is gone with its worker"`))(t)
	if !strings.Contains(line, id) || !strings.Contains(line, "sample.sleepy") {
		t.Errorf("it is not named: %s", line)
	}
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), behind))
	_, metrics, err := w.Get(harness.Deadline(t, 5*time.Second), "/metrics")
	if want := `crisper_tasks_finished_total{outcome="lost",task="sample.sleepy"} 1`; err != nil || !strings.Contains(metrics, want) {
		t.Errorf("the metrics do not have %s; %v", want, err)
	}
	if r := harness.Got(s.Journal.Tasks())(t)[id]; r.Starts != 1 {
		t.Errorf("it was started %d times", r.Starts)
	}
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestATaskLongerThanTheVisibilityTimeoutRunsOnce(t *testing.T) {
	eachCelery(t, func(t *testing.T, o harness.Options) { runsOnce(t, o, "-c", "1") })
	// Its loop stands still as long as the task runs: nobody but us looks what it has.
	t.Run("solo", func(t *testing.T) { runsOnce(t, harness.Options{}, "-P", "solo") })
}

func runsOnce(t *testing.T, o harness.Options, args ...string) {
	t.Helper()
	s := harness.NewStage(t, o)
	s.App.Conf, s.App.Transport = late, map[string]any{"visibility_timeout": 3}
	w := wrap(t, s, args...).ready()
	id := s.Send(t, harness.T("sleepy", 12))
	harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), id))
	// A worker that starts sweeps first of all. What it must not find needs time to
	// grow old: there is no event for that.
	time.Sleep(6 * time.Second)
	stock := harness.Got(s.StartStock(s.App, "-c", "1"))(t)
	_ = harness.Got(stock.WaitLog(harness.Deadline(t, 30*time.Second), "ready."))(t)
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), id))
	harness.Must(t, s.Redis.UntilEmpty(harness.Deadline(t, 20*time.Second), "default"))
	if r := harness.Got(s.Journal.Tasks())(t)[id]; r.Starts != 1 || r.Ends != 1 {
		t.Errorf("started %d times, ended %d times", r.Starts, r.Ends)
	}
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

// ringIn says whether a process has the agent's memory, mapped or open.
func ringIn(t *testing.T, pid int) bool {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	harness.Must(t, err)
	found := strings.Contains(string(maps), "crisper-ring")
	fds := harness.Got(filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)))(t)
	for _, fd := range fds {
		target, _ := os.Readlink(fd) // closed meanwhile
		found = found || strings.Contains(target, "crisper-ring")
	}
	return found
}

func TestTheAgentsMemoryIsInTheWorkersMainProcessOnly(t *testing.T) {
	eachCelery(t, func(t *testing.T, o harness.Options) {
		s := harness.NewStage(t, o)
		e := prefixed(t, s, nil, "-c", "2")
		ids := harness.Got(s.Client.Bulk(harness.T("tick"), 5))(t)
		harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), ids...))
		main := harness.Got(e.State(harness.Deadline(t, 5*time.Second)))(t).Slots[0].PID
		if !ringIn(t, main) {
			t.Error("the main process has not got it")
		}
		below := proctree.PIDs(main)
		if len(below) < 3 {
			t.Fatalf("processes: %v", below)
		}
		for _, pid := range below[1:] {
			if ringIn(t, pid) {
				t.Errorf("process %d of the pool has it, too", pid)
			}
		}
		harness.Must(t, syscall.Kill(main, syscall.SIGHUP)) // Celery runs its program anew
		_ = harness.Got(e.WaitLog(harness.Deadline(t, 40*time.Second), "runs another program"))(t)
		if ringIn(t, main) {
			t.Error("the program that it runs anew has it")
		}
		harness.Must(t, e.Signal(syscall.SIGTERM))
		e.ends(0)
	})
}

// deafening makes a worker stop listening to its queues when a file appears, and go on
// with everything else: what is left of it after a broken connection to Redis in the
// versions that have that defect.
const deafening = `
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name != "celery.bin.worker": return None
        sys.meta_path.remove(self)
        from kombu.transport import redis
        start = redis.Channel._brpop_start
        def brpop_start(self, *args, **kwargs):
            if not os.path.exists(os.environ["DEAF_WHEN"]): return start(self, *args, **kwargs)
        redis.Channel._brpop_start = brpop_start
        return None
sys.meta_path.insert(0, Watch())
`

func TestAWorkerThatStoppedListeningIsReplacedAndItsTasksAreNotCut(t *testing.T) {
	eachCelery(t, func(t *testing.T, o harness.Options) {
		s := harness.NewStage(t, o)
		dir := t.TempDir()
		when := filepath.Join(dir, "now")
		harness.Must(t, os.WriteFile(dir+"/sitecustomize.py", []byte(deafening), 0o644))
		s.App.Env = append(s.App.Env, "DEAF_WHEN="+when, "PYTHONPATH="+dir+":"+s.Root+"/integration/sample")
		w := wrap(t, s, "-c", "2", "--hang-timeout", "6s").ready()
		first := w.slot(0).PID
		long := s.Send(t, harness.T("sleepy", 25))
		harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), long))
		harness.Must(t, os.WriteFile(when, nil, 0o644))
		// The request that waits at Redis is still answered, by one or the other of these.
		ids := harness.Got(s.Client.Bulk(harness.T("tick"), 5))(t)
		line := harness.Got(w.WaitLog(harness.Deadline(t, 30*time.Second), `"a worker hangs"`))(t)
		if !strings.Contains(line, `"deaf":false`) {
			t.Errorf("its loop turns: %s", line)
		}
		harness.Must(t, os.Remove(when))
		w.until("another worker", func(o ops.State) bool { return o.Slots[0].PID != first && o.Slots[0].PID != 0 })
		told(t, w.Worker, "hung")
		harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 40*time.Second), append(ids, long)...))
		if v := harness.Got(s.Journal.Judge(append(ids, long)))(t); len(v.Lost)+len(v.Doubled) > 0 {
			t.Errorf("lost %v, doubled %v", v.Lost, v.Doubled)
		}
		harness.Must(t, w.Signal(syscall.SIGTERM))
		w.ends(0)
	})
}

func TestAWorkerWhoseLoopStandsStillIsKilledAndWhatItHeldGoesBack(t *testing.T) {
	s := harness.NewStage(t, harness.Options{})
	s.App.Conf = late
	w := wrap(t, s, "-c", "1", "--hang-timeout", "6s", "--children", "1").ready()
	first := w.slot(0).PID
	running := s.Send(t, harness.T("sleepy", 3))
	harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), running))
	held := harness.Got(s.Client.Bulk(harness.T("tick"), 3))(t)
	w.reserved(s, 4)
	waiting := harness.Got(s.Client.Bulk(harness.T("tick"), 3))(t)
	harness.Must(t, syscall.Kill(first, syscall.SIGSTOP))
	line := harness.Got(w.WaitLog(harness.Deadline(t, 30*time.Second), `"a worker hangs"`))(t)
	if !strings.Contains(line, `"deaf":true`) {
		t.Errorf("its loop stands still: %s", line)
	}
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 40*time.Second), append(append(held, waiting...), running)...))
	harness.Must(t, s.Redis.UntilEmpty(harness.Deadline(t, 20*time.Second), "default"))
	if v := harness.Got(s.Journal.Judge(append(held, waiting...)))(t); len(v.Lost)+len(v.Doubled) > 0 {
		t.Errorf("lost %v, doubled %v", v.Lost, v.Doubled)
	}
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestAMessageThatKeepsKillingWholeWorkersIsPutAside(t *testing.T) {
	s := harness.NewStage(t, harness.Options{})
	s.App.Conf = late
	w := wrap(t, s, "-P", "solo", "--poison-limit", "2").ready()
	id := s.Send(t, harness.T("die"))
	line := harness.Got(w.WaitLog(harness.Deadline(t, 60*time.Second), `"a message was put into the dead-letter list`))(t)
	if !strings.Contains(line, id) || !strings.Contains(line, `"deaths":2`) {
		t.Errorf("it is not named: %s", line)
	}
	behind := s.Send(t, harness.T("tick"))
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 40*time.Second), behind))
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

// prefixed starts `crisper exec options… -- celery -A sample worker args…`.
func prefixed(t *testing.T, s *harness.Stage, options []string, args ...string) *executed {
	t.Helper()
	line := append([]string{filepath.Join(filepath.Dir(s.Python), "celery"), "-A", "sample", "worker", "-l", "INFO"}, args...)
	e := execute(t, s.Bed, nil, append([]string{"env"}, s.Env(s.App)...), options, line...)
	e.says(`@\S+ ready\.`)
	return e
}

func TestAPrefixedCeleryWorkerHasTheAgent(t *testing.T) {
	eachCelery(t, func(t *testing.T, o harness.Options) {
		s := harness.NewStage(t, o)
		s.App.Conf = late
		e := prefixed(t, s, nil, "-c", "1")
		ids := harness.Got(s.Client.Bulk(harness.T("tick"), 5))(t)
		harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), ids...))
		harness.Must(t, e.UntilState(harness.Deadline(t, 20*time.Second), "all tasks to be counted", func(o ops.State) bool {
			return o.Runtime == "exec" && o.Slots[0].TasksDone == 5 && o.Celery != ""
		}))
		running := s.Send(t, harness.T("sleepy", 60))
		harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), running))
		behind := harness.Got(s.Client.Bulk(harness.T("tick"), 2))(t)
		(&wrapped{Worker: e.Worker, t: t}).reserved(s, 3)
		pid := harness.Got(e.State(harness.Deadline(t, 5*time.Second)))(t).Slots[0].PID
		harness.Must(t, syscall.Kill(pid, syscall.SIGKILL))
		e.ends(137)
		if !strings.Contains(e.LogText(), `"deliveries":3`) {
			t.Error("not exactly three deliveries were given back")
		}
		got := harness.Got(s.Redis.IDs(harness.Deadline(t, 5*time.Second), "default"))(t)
		if want := append([]string{running}, behind...); !slices.Equal(got, want) {
			t.Errorf("in the queue: %v, want %v", got, want)
		}
	})
}

func TestAPrefixedCeleryWorkerThatHangsIsEnded(t *testing.T) {
	s := harness.NewStage(t, harness.Options{})
	e := prefixed(t, s, []string{"--hang-timeout", "5s"}, "-c", "1")
	pid := harness.Got(e.State(harness.Deadline(t, 5*time.Second)))(t).Slots[0].PID
	s.Send(t, harness.T("tick")) // once, so that it is known what it consumes
	harness.Must(t, s.Redis.UntilEmpty(harness.Deadline(t, 20*time.Second), "default"))
	harness.Must(t, syscall.Kill(pid, syscall.SIGSTOP))
	// The first of them answers the request that waits at Redis: it is in nobody's hands.
	_ = harness.Got(s.Client.Bulk(harness.T("tick"), 3))(t)
	e.says(`"a worker hangs"`)
	e.ends(137)
}

func TestAPrefixedCeleryWorkerWithoutTheAgentIsACommandLikeAnyOther(t *testing.T) {
	s := harness.NewStage(t, harness.Options{})
	e := prefixed(t, s, []string{"--agent", "off"}, "-c", "1")
	if state := harness.Got(e.State(harness.Deadline(t, 5*time.Second)))(t); state.Celery != "" {
		t.Errorf("somebody told of Celery %s", state.Celery)
	}
	harness.Must(t, e.Signal(syscall.SIGTERM))
	e.ends(0)
}
