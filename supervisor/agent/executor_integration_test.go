//go:build integration && linux

package agent

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"crisper/broker/celerymsg"
	"crisper/supervisor/wire"
)

func TestEveryOutcomeIsReported(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		c := r.fork("executor")
		bad := message("plain.add", "undecodable", 1, 2)
		bad.Body = []byte("{")
		disallowed := message("plain.add", "disallowed", 1, 2)
		disallowed.ContentType = "application/x-python-serialize"
		misshapen := message("plain.add", "misshapen", 1, 2)
		misshapen.Body = []byte(`{"no": "triple"}`)
		compressed := message("plain.add", "compressed", 1, 2)
		compressed.Headers = []byte(strings.Replace(string(compressed.Headers), "{", `{"compression": "application/x-gzip",`, 1))
		for _, c2 := range []struct {
			name      string
			message   *celerymsg.Message
			want      wire.Outcome
			exception string // is in it
			result    string
		}{
			{"success", message("plain.add", "1", 1, 2), wire.Success, "", "3"},
			{"success again, by the same tracer", message("plain.add", "1b", 3, 4), wire.Success, "", "7"},
			{"success without a result", message("plain.noop", "2"), wire.Success, "", "None"},
			{"failure", message("plain.fail", "3", "boom"), wire.Failure, "ValueError('boom')", ""},
			{"retry", message("plain.retry", "4"), wire.Retry, "KeyError('not yet')", ""},
			{"ignore", message("plain.ignore", "5"), wire.Ignored, "", ""},
			{"reject", message("plain.reject", "6", false), wire.Rejected, "no", ""},
			{"reject and requeue", message("plain.reject", "7", true), wire.RejectedAgain, "no", ""},
			{"a body that is no JSON", bad, wire.Undecodable, "", ""},
			{"a body of a kind that is not accepted", disallowed, wire.Invalid, "", ""},
			{"a body that is no triple", misshapen, wire.Success, "", ""},
			{"a compressed body that is none", compressed, wire.Invalid, "", ""},
			{"a task that is not registered", message("plain.missing", "8"), wire.Failure, "never registered", ""},
			{"out of memory in the body, which the tracer stores", message("plain.out_of_memory", "9"), wire.Failure, "no more", ""},
			{"and it still works", message("plain.add", "10", 20, 22), wire.Success, "", "42"},
		} {
			t.Run(c2.name, func(t *testing.T) {
				got := c.run(c2.message)
				if c2.name == "a body that is no triple" {
					if got.Outcome == wire.Success || got.Outcome == wire.Undecodable {
						t.Errorf("got %+v", got)
					}
					return
				}
				if got.Outcome != c2.want || !strings.Contains(got.Exception, c2.exception) || got.Result != c2.result {
					t.Errorf("got %+v, want outcome %d, %q, %q", got, c2.want, c2.exception, c2.result)
				}
			})
		}
	})
}

func TestATaskThatExitsIsReportedAndEndsTheChild(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		for _, c := range []struct {
			task      string
			args      []any
			exception string
			status    int
		}{
			{"plain.exit_with", []any{3}, "exitcode 3.", 3},
			{"plain.exit_with", []any{"text"}, "exitcode 1.", 1},
			{"plain.interrupt", nil, "KeyboardInterrupt.", 1},
		} {
			ch := r.fork("executor")
			got := ch.run(message(c.task, "1", c.args...))
			if got.Outcome != wire.Exited || got.Exception != c.exception {
				t.Errorf("%s: got %+v", c.task, got)
			}
			if ws := ch.exitStatus(); ws.ExitStatus() != c.status {
				t.Errorf("%s: the child left with %d, want %d", c.task, ws.ExitStatus(), c.status)
			}
		}
	})
}

func TestTheChildLeavesCleanlyWhenTold(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		c := r.fork("executor")
		r.noted("worker_process_init ForkPoolWorker-4")
		c.run(message("plain.say", "1", "last words"))
		c.send(wire.AppendFrame(nil, wire.Exit, 0, nil))
		if ws := c.exitStatus(); !ws.Exited() || ws.ExitStatus() != 0 {
			t.Errorf("the child left with %v", ws)
		}
		r.noted("worker_process_shutdown 0")
		for _, want := range []string{"WARNING/ForkPoolWorker-4] last words"} {
			if !strings.Contains(r.stderr.String(), want) {
				t.Errorf("the output does not have %q:\n%s", want, r.stderr)
			}
		}
	})
}

func TestTheChildLeavesWhenTheSupervisorCloses(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		c := r.fork("executor")
		c.conn.Finish()
		if ws := c.exitStatus(); ws.ExitStatus() != 0 {
			t.Errorf("the child left with %v", ws)
		}
	})
}

func TestTermUnwindsTheTaskWithoutAReport(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		c := r.fork("executor")
		c.start(message("plain.clean_up", "1", 60))
		r.noted("working")
		_ = syscall.Kill(c.pid, syscall.SIGTERM)
		if ws := c.exitStatus(); !ws.Exited() || ws.ExitStatus() != 15 {
			t.Errorf("the child left with %v, want 15 as in Celery's pool", ws)
		}
		r.noted("cleaned up")
		r.noted("worker_process_shutdown")
		if f, ok := <-c.frames; ok {
			t.Errorf("got frame %c about a task that was cut off", f.Kind)
		}
	})
}

func TestHostileTasksEndTheirChildOnly(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		sibling := r.fork("executor")
		c := r.fork("executor")
		c.start(message("plain.vanish", "1", 9))
		if ws := c.exitStatus(); ws.ExitStatus() != 9 {
			t.Errorf("os._exit: %v", ws)
		}
		c = r.fork("executor")
		c.start(message("plain.close_everything", "2"))
		if ws := c.exitStatus(); ws.ExitStatus() != 113 {
			t.Errorf("closing every descriptor: %v", ws)
		}
		c = r.fork("executor")
		if got := c.run(message("plain.fork_and_linger", "3")); got.Outcome != wire.Success {
			t.Errorf("fork and linger: %+v", got)
		}
		c = r.fork("executor")
		if got := c.run(message("plain.fork_and_return", "4")); got.Result == "0" {
			t.Errorf("the forked process spoke for the child: %+v", got)
		}
		if got := c.run(message("plain.add", "5", 1, 1)); got.Result != "2" {
			t.Errorf("after a fork: %+v", got)
		}
		if got := sibling.run(message("plain.add", "6", 1, 1)); got.Result != "2" {
			t.Errorf("the sibling: %+v", got)
		}
	})
}

func TestBrokenFramesEndTheChild(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		short := wire.AppendTask(nil, 1, message("plain.noop", "1"), "h")
		for name, frame := range map[string][]byte{
			"garbage":         []byte("GET / HTTP/1.1\r\n\r\n"),
			"shorter than it": short[:len(short)-3],
			"an unknown kind": wire.AppendFrame(nil, '?', 1, nil),
			"a task of zeros": wire.AppendFrame(nil, wire.Task, 1, make([]byte, 64)),
			"no request":      wire.AppendFrame(nil, wire.Task, 1, []byte{0xff, 0xff, 0xff, 0xff, 1, 2, 3}),
			"one byte":        {0},
		} {
			c := r.fork("executor")
			c.send(frame)
			if ws := c.exitStatus(); ws.ExitStatus() != 115 {
				t.Errorf("%s: %v", name, ws)
			}
		}
	})
}

func TestALargeTaskComesAsAFile(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		c := r.fork("executor")
		m := message("plain.fail", "1", strings.Repeat("long ", 1<<18))
		spill, err := wire.Spill(wire.AppendTaskPayload(nil, m, "h"))
		if err != nil {
			t.Fatal(err)
		}
		defer spill.Close()
		seq := c.seq.Add(1)
		c.send(wire.AppendLarge(nil, seq, wire.Task, spill.Path()))
		if f := c.frame(); f.Kind != wire.Begun {
			t.Fatalf("got frame %c", f.Kind)
		}
		got := c.done(seq)
		if got.Outcome != wire.Failure || len(got.Exception) > 8<<10 || len(got.Traceback) > 64<<10 {
			t.Errorf("outcome %d, exception of %d bytes, traceback of %d", got.Outcome, len(got.Exception), len(got.Traceback))
		}
		if got := c.run(message("plain.add", "2", 1, 1)); got.Result != "2" {
			t.Errorf("after a large task: %+v", got)
		}
	})
}

func TestTasksQueuedInTheSocketRunInOrder(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		c := r.fork("executor")
		const n = 50
		go func() {
			for i := uint64(1); i <= n; i++ {
				_ = c.conn.Send(wire.AppendTask(nil, i, message("plain.add", "x", i, 0), "h"))
			}
		}()
		for i := uint64(1); i <= n; i++ {
			if f := c.frame(); f.Kind != wire.Begun || f.Seq != i {
				t.Fatalf("got frame %c of %d, want Begun of %d", f.Kind, f.Seq, i)
			}
			c.done(i)
		}
	})
}

func TestChildrenOutliveTheZygote(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		busy, idle := r.fork("executor"), r.fork("executor")
		seq := busy.start(message("plain.wait", "1", 0.3))
		_ = syscall.Kill(r.z.PID(), syscall.SIGKILL)
		if e, ok := r.event().(ExitedEvent); !ok || !strings.Contains(e.Status, "killed") {
			t.Errorf("got %#v", e)
		}
		if got := busy.done(seq); got.Outcome != wire.Success {
			t.Errorf("the busy child: %+v", got)
		}
		if got := idle.run(message("plain.add", "2", 1, 1)); got.Result != "2" {
			t.Errorf("the idle child: %+v", got)
		}
	})
}

func TestAFloodOfOutputOnlyWaits(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		c := r.fork("executor")
		if got := c.run(message("plain.shout", "1", 8<<20)); got.Outcome != wire.Success {
			t.Errorf("got %+v", got)
		}
	})
}

func TestAChildIsTheFirstToBeKilledAndHasNoOtherSocket(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"})
		first := r.fork("executor")
		c := r.fork("executor")
		_ = first
		score, err := os.ReadFile("/proc/" + itoa(c.pid) + "/oom_score_adj")
		if err != nil || strings.TrimSpace(string(score)) != "500" {
			t.Errorf("oom_score_adj is %q, %v", score, err)
		}
		sockets := 0
		entries, _ := os.ReadDir("/proc/" + itoa(c.pid) + "/fd")
		for _, e := range entries {
			if target, _ := os.Readlink("/proc/" + itoa(c.pid) + "/fd/" + e.Name()); strings.HasPrefix(target, "socket:") {
				sockets++
			}
		}
		if sockets != 1 {
			t.Errorf("the child holds %d sockets, want its own only", sockets)
		}
	})
}
