//go:build integration && linux

package agent

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"crisper/broker/celerymsg"
	"crisper/supervisor/wire"
)

// stored asks the app's own result backend, in a process of its own.
func (r *rig) stored(python string, ids []string) map[string]string {
	r.t.Helper()
	cmd := exec.Command(python, append([]string{"-c", `
import json, plain, sys
results = {id: plain.app.AsyncResult(id) for id in sys.argv[1:]}
print(json.dumps({id: f"{r.state} {r.result!r}" for id, r in results.items()}))`}, ids...)...)
	cmd.Dir, cmd.Env = "testdata/apps", r.env
	out, err := cmd.Output()
	var stored map[string]string
	if err == nil {
		err = json.Unmarshal(out, &stored)
	}
	if err != nil {
		r.t.Fatalf("cannot read the results: %v: %s", err, out)
	}
	return stored
}

// names are the types of the events, and what failed.
func names(a Answer) string {
	var out []string
	for _, e := range a.Events {
		name, _ := e["type"].(string)
		if exc, ok := e["exception"].(string); ok {
			name += " " + exc
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}

func TestTheStewardSettlesByCelerysOwnRules(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		// The file backend, so that another process can look.
		r := load(t, python, Options{App: "plain"}, "TEST_BACKEND=file://"+t.TempDir())
		s := r.fork("steward")
		lost := map[string]any{"exc": map[string]string{"type": "WorkerLostError", "message": "Worker exited prematurely: signal 9 (SIGKILL) Job: 0."}}
		badBody := message("plain.late", "bad-body")
		badBody.Body = []byte("{")
		var ids []string
		wanted := map[string]string{}
		for _, c := range []struct {
			name, op string
			args     map[string]any
			message  *celerymsg.Message
			verb     string
			events   string // begin with
			stored   string // begin with
			noted    string
		}{
			{"a lost early task fails", OpFailure, lost, message("plain.noop", "f1"), "", "task-failed WorkerLostError", "FAILURE WorkerLostError", "task_failure f1 WorkerLostError"},
			{"a lost late task fails and is acknowledged", OpFailure, lost, message("plain.late", "f2"), "ack", "task-failed WorkerLostError", "FAILURE WorkerLostError", "task_failure f2"},
			{"reject_on_worker_lost goes back", OpFailure, lost, message("plain.again", "f3"), "requeue", "task-rejected", "PENDING", ""},
			{"the hard limit is recorded", OpTimeout, map[string]any{"limit": 10.0}, message("plain.late", "t1"), "ack", "task-failed TimeLimitExceeded(10", "FAILURE TimeLimitExceeded", "task_failure t1 TimeLimitExceeded"},
			{"revoked", OpRevoked, map[string]any{"reason": "revoked"}, message("plain.noop", "r1"), "ack", "task-revoked", "REVOKED TaskRevokedError", "task_revoked r1"},
			{"expired", OpRevoked, map[string]any{"reason": "expired"}, message("plain.noop", "r2"), "ack", "task-revoked", "REVOKED TaskRevokedError('expired')", ""},
			{"terminated", OpRevoked, map[string]any{"reason": "terminated", "signum": 15}, message("plain.noop", "r3"), "ack", "task-revoked", "REVOKED", ""},
			{"unknown", OpUnknown, nil, message("plain.missing", "u1"), "reject", "task-failed NotRegistered('plain.missing')", "FAILURE Task of kind 'plain.missing' never registered", "task_unknown plain.missing"},
			{"reject and requeue", OpReject, map[string]any{"requeue": true}, message("plain.late", "j1"), "requeue", "task-rejected", "PENDING", ""},
			{"cut off: failed whatever the mode", OpFail, lost, message("plain.again", "c1"), "ack", "task-failed WorkerLostError", "FAILURE WorkerLostError", "task_failure c1"},
			{"a parked task that nobody knows", OpFail, lost, message("plain.missing", "c2"), "ack", "task-failed WorkerLostError", "FAILURE WorkerLostError", ""},
			{"a lost task whose body cannot be read", OpFailure, lost, badBody, "ack", "task-failed WorkerLostError", "FAILURE WorkerLostError", ""},
			{"invalid", OpInvalid, map[string]any{"exc": map[string]string{"message": "bad"}}, message("plain.noop", "i1"), "reject", "", "PENDING", "task_rejected InvalidTaskError"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := s.ask(c.op, c.args, c.message)
				if a.Error != "" || a.Verb != c.verb || !strings.HasPrefix(names(a), c.events) {
					t.Errorf("got %+v", a)
				}
				ids = append(ids, c.message.ID)
				wanted[c.message.ID] = c.stored
				if c.noted != "" {
					r.noted(c.noted)
				}
			})
		}
		for id, got := range r.stored(python, ids) {
			if !strings.HasPrefix(got, wanted[id]) {
				t.Errorf("stored for %s is %s, want %s", id, got, wanted[id])
			}
		}
		if n := strings.Count(r.allNotes(), "task_failure t1 "); n != 1 {
			t.Errorf("the hard limit fired task_failure %d times", n)
		}
		if strings.Contains(r.allNotes(), "worker_process_init") {
			t.Error("worker_process_init fired in the steward")
		}
	})
}

func TestTheStewardFiresTheWorkersSignals(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain", Hostname: "w1@here"})
		s := r.fork("steward")
		for _, name := range []string{"worker_ready", "worker_shutting_down", "worker_shutdown", "heartbeat_sent"} {
			if a := s.ask(OpSignal, map[string]any{"name": name}, nil); a.Error != "" {
				t.Errorf("%s: %s", name, a.Error)
			}
		}
		r.noted("worker_ready w1@here")
		for _, bad := range []string{"task_prerun", "os"} {
			if a := s.ask(OpSignal, map[string]any{"name": bad}, nil); a.Error == "" {
				t.Errorf("%s was fired", bad)
			}
		}
		if a := s.ask("no_such_operation", nil, nil); a.Error == "" {
			t.Error("an operation that does not exist was carried out")
		}
		s.send(wire.AppendFrame(nil, wire.Exit, 0, nil))
		if ws := s.exitStatus(); ws.ExitStatus() != 0 {
			t.Errorf("the steward left with %v", ws)
		}
	})
}

func TestHandlersOfTaskReceivedAreToldOfABatch(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain", Hostname: "w1@here"})
		if r.info.Receivers["task_received"] != 1 {
			t.Errorf("receivers: %v", r.info.Receivers)
		}
		s := r.fork("steward")
		var tasks []byte
		var sizes []int
		for _, m := range []*celerymsg.Message{message("plain.noop", "a"), message("plain.missing", "b"), message("plain.add", "c", 1, 2)} {
			before := len(tasks)
			tasks = wire.AppendTaskPayload(tasks, m, "w1@here")
			sizes = append(sizes, len(tasks)-before)
		}
		head, _ := json.Marshal(map[string]any{"op": OpReceived, "sizes": sizes})
		s.send(wire.AppendFrame(nil, wire.Request, 1, append(wire.AppendRequest(nil, 0, head, nil, "")[wire.HeaderSize:], tasks...)))
		var a Answer
		if err := json.Unmarshal(s.frame().Payload, &a); err != nil || a.Error != "" {
			t.Errorf("%+v %v", a, err)
		}
		r.noted("task_received c plain.add Consumer w1@here")
		if notes := r.allNotes(); !strings.Contains(notes, "task_received a plain.noop") || strings.Contains(notes, "task_received b") {
			t.Error(notes)
		}
	})
}

func TestAnEarlyTaskIsNotRejectedAgainByItsOwnReject(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		s := load(t, python, Options{App: "plain"}).fork("steward")
		args := map[string]any{"requeue": false, "reason": "no"}
		if a := s.ask(OpReject, args, message("plain.noop", "early")); a.Verb != "" || strings.Contains(names(a), "task-rejected") {
			t.Errorf("early: %+v", a)
		}
		if a := s.ask(OpReject, args, message("plain.late", "late")); a.Verb != "reject" || !strings.Contains(names(a), "task-rejected") {
			t.Errorf("late: %+v", a)
		}
	})
}

func TestABackendThatIsDownIsAnErrorAndNoVerdict(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain", Extra: []string{"result_backend_always_retry=0"}},
			"TEST_BACKEND=redis://127.0.0.1:1/0", "TEST_NO_RETRY=1")
		a := r.fork("steward").ask(OpFailure, nil, message("plain.late", "1"))
		if a.Error == "" || a.Verb != "" || a.Events != nil {
			t.Errorf("got %+v", a)
		}
	})
}

func TestTheStewardRunsErrbacksAndLargeRequests(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain"}, "TEST_BACKEND=file://"+t.TempDir())
		s := r.fork("steward")
		m := message("plain.late", "e1", strings.Repeat("x", 200<<10))
		errback := map[string]any{
			"task": "plain.errback", "args": []any{}, "kwargs": map[string]any{}, "options": map[string]any{},
			"subtask_type": nil, "immutable": false,
		}
		m.Body, _ = json.Marshal([]any{[]any{}, map[string]any{}, map[string]any{"errbacks": []any{errback}, "callbacks": nil, "chain": nil, "chord": nil}})
		m.Body = append(m.Body, bytes.Repeat([]byte(" "), 200<<10)...)
		frame := wire.AppendRequest(nil, 1, []byte(`{"op": "failure"}`), m, "h")
		spill, err := wire.Spill(frame[wire.HeaderSize:])
		if err != nil {
			t.Fatal(err)
		}
		defer spill.Close()
		s.send(wire.AppendLarge(nil, 1, wire.Request, spill.Path()))
		f := s.frame()
		var a Answer
		if err := json.Unmarshal(f.Payload, &a); err != nil || a.Error != "" || a.Verb != "ack" {
			t.Errorf("got %s", f.Payload)
		}
		r.noted("errback WorkerLostError")
	})
}
