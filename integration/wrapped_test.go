//go:build integration

package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
	"crisper/supervisor/ops"
	"crisper/supervisor/process"
)

// wrapped is a running `crisper worker --runtime=celery`.
type wrapped struct {
	*harness.Worker
	t      *testing.T
	marker string
}

// wrap starts whole workers as children, and does not wait.
func wrap(t *testing.T, s *harness.Stage, args ...string) *wrapped {
	t.Helper()
	app := s.App
	w := &wrapped{t: t, marker: fmt.Sprintf("WRAPPED_TEST_MARK=%d-%d", os.Getpid(), time.Now().UnixNano())}
	app.Env = append(app.Env, w.marker)
	w.Worker = harness.Got(s.StartCrisper(app, append([]string{"--runtime=celery"}, args...)...))(t)
	return w
}

func (w *wrapped) ready() *wrapped {
	w.t.Helper()
	harness.Must(w.t, w.WaitReady(harness.Deadline(w.t, 60*time.Second)))
	return w
}

// ends compares the exit code and looks for what was left behind.
func (w *wrapped) ends(code int) {
	w.t.Helper()
	got, _, err := w.Wait(harness.Deadline(w.t, 40*time.Second))
	harness.Must(w.t, err)
	if got != code {
		w.t.Errorf("exit code %d, want %d", got, code)
	}
	if alive := marked(w.marker); len(alive) > 0 {
		w.t.Errorf("left behind: %v", alive)
	}
	if strings.Contains(w.LogText(), "impossible event") || strings.Contains(w.LogText(), "the agent is off") {
		w.t.Error("the log has something impossible")
	}
}

func (w *wrapped) slot(i int) ops.SlotState {
	w.t.Helper()
	return harness.Got(w.State(harness.Deadline(w.t, 5*time.Second)))(w.t).Slots[i]
}

// until waits for a state in which every slot is ready and yes is true.
func (w *wrapped) until(what string, yes func(ops.State) bool) {
	w.t.Helper()
	harness.Must(w.t, w.UntilState(harness.Deadline(w.t, 60*time.Second), what, func(s ops.State) bool {
		for _, slot := range s.Slots {
			if slot.State != "ready" && slot.State != "busy" {
				return false
			}
		}
		return yes(s)
	}))
}

func TestWrappedWorkersLeave(t *testing.T) {
	t.Parallel()
	const TERM, INT, QUIT = syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT
	for _, c := range []struct {
		name   string
		pool   string
		args   []string
		active bool
		send   []syscall.Signal
		ends   bool // the task that ran has ended
		exit   int
	}{
		{name: "TERM, idle", pool: "prefork", send: []syscall.Signal{TERM}},
		{name: "TERM, active: the task ends first", pool: "prefork", active: true, send: []syscall.Signal{TERM}, ends: true},
		{name: "TERM, active, beyond the grace", pool: "prefork", args: []string{"--grace", "3"}, active: true, send: []syscall.Signal{TERM}},
		{name: "TERM twice, active: cut off", pool: "prefork", active: true, send: []syscall.Signal{TERM, TERM}},
		{name: "QUIT, idle", pool: "prefork", send: []syscall.Signal{QUIT}, exit: 1},
		{name: "QUIT, active: cut off", pool: "prefork", active: true, send: []syscall.Signal{QUIT}, exit: 1},
		{name: "INT twice, active: cut off", pool: "prefork", active: true, send: []syscall.Signal{INT, INT}, exit: 1},
		{name: "solo, TERM, active", pool: "solo", active: true, send: []syscall.Signal{TERM}, ends: true},
		{name: "threads, TERM, active", pool: "threads", active: true, send: []syscall.Signal{TERM}, ends: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := harness.NewStage(t, harness.Options{})
			w := wrap(t, s, append([]string{"-P", c.pool, "-c", "2"}, c.args...)...).ready()
			seconds := 20
			if c.ends {
				seconds = 4
			}
			id := ""
			if c.active {
				id = s.Send(t, harness.T("sleepy", seconds))
				harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), id))
			}
			at, busy := time.Now(), harness.WatchBusy()
			for i, sig := range c.send {
				if i > 0 {
					_ = harness.Got(w.WaitLog(harness.Deadline(t, 10*time.Second), `"to":"draining"`))(t)
				}
				harness.Must(t, w.Signal(sig))
			}
			w.ends(c.exit)
			if took, most := time.Since(at), busy.Stretch(15*time.Second); c.active && !c.ends && took > most {
				t.Errorf("cut off after %s", took)
			}
			if c.active {
				if r := harness.Got(s.Journal.Tasks())(t)[id]; c.ends && (r.Ends != 1 || r.Entries[1].Outcome != "ok") {
					t.Errorf("the task was cut: %+v", r)
				}
			}
		})
	}
}

func TestWrappedWorkersAreReloadedOneByOneAndNoTaskIsCut(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := wrap(t, s, "-c", "1", "--children", "2").ready()
	w.until("both to be ready", func(o ops.State) bool { return len(o.Slots) == 2 })
	long := s.Send(t, harness.T("sleepy", 6))
	harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), long))
	harness.Must(t, w.Signal(syscall.SIGHUP))
	var ids []string
	for done := false; !done; {
		ids = append(ids, s.Send(t, harness.T("tick")))
		state := harness.Got(w.State(harness.Deadline(t, 5*time.Second)))(t)
		done = len(ids) > 1000
		if state.Slots[0].Generation == 2 && state.Slots[1].Generation == 2 {
			done = true
		}
		// A trickle, so that somebody has to take at every moment of the reload.
		time.Sleep(20 * time.Millisecond)
	}
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), append(ids, long)...))
	v := harness.Got(s.Journal.Judge(append(ids, long)))(t)
	if len(v.Lost)+len(v.Doubled) > 0 {
		t.Errorf("lost %v, doubled %v", v.Lost, v.Doubled)
	}
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestAWrappedWorkerThatIsKilledIsReplacedAndLeavesNobodyBehind(t *testing.T) {
	t.Parallel()
	for _, active := range []bool{false, true} {
		t.Run(fmt.Sprintf("active=%t", active), func(t *testing.T) {
			s := harness.NewStage(t, harness.Options{})
			w := wrap(t, s, "-c", "2").ready()
			if active {
				id := s.Send(t, harness.T("sleepy", 30))
				harness.Must(t, s.Journal.UntilStarted(harness.Deadline(t, 20*time.Second), id))
			}
			first := w.slot(0).PID
			pool := harness.Got(process.Children(first))(t)
			harness.Must(t, syscall.Kill(first, syscall.SIGKILL))
			w.until("another worker", func(o ops.State) bool { return o.Slots[0].PID != first && o.Slots[0].PID != 0 })
			for _, pid := range pool {
				if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ"); err == nil && strings.Contains(string(stat), w.marker) {
					t.Errorf("process %d of the dead worker's pool lives", pid)
				}
			}
			told(t, w.Worker, "crashed")
			ran := s.Send(t, harness.T("tick"))
			harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 20*time.Second), ran))
			harness.Must(t, w.Signal(syscall.SIGTERM))
			w.ends(0)
		})
	}
}

func TestAKilledPoolProcessIsCelerysAffair(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := wrap(t, s, "-c", "1").ready()
	first := w.slot(0).PID
	pool := harness.Got(process.Children(first))(t)
	harness.Must(t, syscall.Kill(pool[0], syscall.SIGKILL))
	id := s.Send(t, harness.T("tick"))
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), id))
	if now := w.slot(0).PID; now != first {
		t.Errorf("the whole worker was replaced: %d, then %d", first, now)
	}
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestAWrappedWorkerIsReplacedAfterItsTasksAndAge(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"max_tasks": {"--max-tasks-per-child", "20"},
		"max_age":   {"--max-age-per-child", "4s"},
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.NewStage(t, harness.Options{})
			w := wrap(t, s, append([]string{"-c", "2", "--jitter", "0"}, args...)...).ready()
			first := w.slot(0).PID
			ids := harness.Got(s.Client.Bulk(harness.T("tick"), 30))(t)
			w.until("another worker", func(o ops.State) bool { return o.Slots[0].PID != first })
			told(t, w.Worker, name)
			harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), ids...))
			if v := harness.Got(s.Journal.Judge(ids))(t); len(v.Lost)+len(v.Doubled) > 0 {
				t.Errorf("lost %v, doubled %v", v.Lost, v.Doubled)
			}
			harness.Must(t, w.Signal(syscall.SIGTERM))
			w.ends(0)
		})
	}
}

func TestAWrappedWorkerIsReplacedAboveTheMemoryOfItsTree(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := wrap(t, s, "-c", "1", "--jitter", "0", "--max-memory-per-child", "200Mi").ready()
	first := w.slot(0).PID
	s.Send(t, harness.T("leak", 200))
	w.until("another worker", func(o ops.State) bool { return o.Slots[0].PID != first })
	told(t, w.Worker, "max_memory")
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestAWrappedWorkerThatExitsAtStartIsTriedAgainWithPauses(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	s.App.Name = "broken"
	w := wrap(t, s)
	_ = harness.Got(w.WaitLog(harness.Deadline(t, 60*time.Second), `"to":"backoff"`))(t)
	if code, body, err := w.Get(harness.Deadline(t, 5*time.Second), "/readyz"); err != nil || code != 503 {
		t.Errorf("/readyz: %d %s %v", code, body, err)
	}
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestAWrappedWorkerThatNeverGetsReadyIsEnded(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	s.Redis.Kill()
	w := wrap(t, s, "--start-timeout", "6s")
	_ = harness.Got(w.WaitLog(harness.Deadline(t, 60*time.Second), "not ready after 6s"))(t)
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestTheAgentLetsAnExistingSitecustomizeHaveItsTurn(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	dir := t.TempDir()
	harness.Must(t, os.WriteFile(dir+"/sitecustomize.py", []byte("import os, sys\nsys.stderr.write('theirs ran, PYTHONPATH=%s, fd=%s\\n' % (os.environ.get('PYTHONPATH'), os.environ.get('CRISPER_INJECT_FD')))\n"), 0o644))
	path := dir + ":" + s.Root + "/integration/sample"
	s.App.Env = append(s.App.Env, "PYTHONPATH="+path)
	w := wrap(t, s, "-c", "1").ready()
	_ = harness.Got(w.WaitLog(harness.Deadline(t, 10*time.Second), "theirs ran, PYTHONPATH="+path+", fd=None"))(t)
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestAWorkerWhoseAgentIsSilentCountsAsReadyAfterAWhile(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	// Python ignores PYTHONPATH in isolated mode.
	isolated := s.Path("python")
	harness.Must(t, os.WriteFile(isolated, []byte("#!/bin/sh\nexec "+s.Python+" -E \"$@\"\n"), 0o755))
	w := wrap(t, s, "--python", isolated, "-c", "1", "--workdir", s.Root+"/integration/sample").ready()
	_ = harness.Got(w.WaitLog(harness.Deadline(t, 10*time.Second), "nothing is heard of a worker's agent"))(t)
	id := s.Send(t, harness.T("tick"))
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 20*time.Second), id))
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}

func TestTheOldestCeleryIsWrappedAsWell(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Old(t))
	w := wrap(t, s, "-c", "2").ready()
	ids := harness.Got(s.Client.Bulk(harness.T("tick"), 20))(t)
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), ids...))
	w.until("all tasks to be counted", func(o ops.State) bool { return o.Slots[0].TasksDone == 20 })
	harness.Must(t, w.Signal(syscall.SIGTERM))
	w.ends(0)
}
