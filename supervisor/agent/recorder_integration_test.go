//go:build integration && linux

package agent

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// packed is a message as the agent in a Celery worker tells it, in Python's words.
func packed(t *testing.T, python, words string) []byte {
	t.Helper()
	cmd := exec.Command(python, "-c", `
import base64, json, marshal, sys, zlib
errback = {"task": "plain.errback", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
def v2(task, id, args=(), errbacks=None, **headers):
    body = json.dumps([list(args), {}, {"errbacks": errbacks, "callbacks": None, "chain": None, "chord": None}]).encode()
    return [{"task": task, "id": id, "lang": "py", "root_id": id, **headers}, {"correlation_id": id, "reply_to": "r"},
            {"exchange": "", "routing_key": "q"}, "application/json", "utf-8", body]
def v1(task, id, args=(), errbacks=None):
    body = json.dumps({"task": task, "id": id, "args": list(args), "kwargs": {}, "errbacks": errbacks}).encode()
    return [{}, {"correlation_id": id}, {}, "application/json", "utf-8", body]
def unacked(parts, pack=bytes):
    headers, properties, info, kind, encoding, body = parts
    properties = {**properties, "delivery_info": info, "delivery_tag": "t", "body_encoding": "base64"}
    raw = {"body": base64.b64encode(pack(body)).decode(), "headers": headers, "properties": properties,
           "content-type": kind, "content-encoding": encoding}
    return b"j" + json.dumps([raw, "", "q"]).encode()
found = `+words+`
sys.stdout.buffer.write(found if type(found) is bytes else b"m" + marshal.dumps(found, 4))`)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot pack %s: %v", words, err)
	}
	return out
}

// recorder launches one as if a worker of the app plain had been started by `celery`.
func recorder(t *testing.T, python string, argv []string, env ...string) (*Recorder, *rig) {
	t.Helper()
	dir, cleanup, err := Unpack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cleanup)
	apps, _ := filepath.Abs("testdata/apps")
	r := &rig{t: t, stderr: &lockedBuffer{}, notes: filepath.Join(t.TempDir(), "notes")}
	r.env = append(append(os.Environ(), "TEST_NOTES="+r.notes, "PYTHONWARNINGS=ignore", "C_FORCE_ROOT=1", "PYTHONPATH="+apps), env...)
	rec, err := LaunchRecorder(RecorderConfig{Start: Start{Executable: python, Argv: append([]string{"celery"}, argv...)},
		Dir: dir, Env: r.env, Stdout: r.stderr, Stderr: r.stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		rec.Leave(within(t, patience))
		if t.Failed() {
			t.Logf("the recorder's output:\n%s", r.stderr)
		}
	})
	return rec, r
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestARecorderRecordsWhatWentWithAWorkerByCelerysOwnRules(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		rec, r := recorder(t, python, []string{"-A", "plain", "worker", "-P", "threads", "-n", "w@here", "-B", "--statedb", "/nowhere/x"},
			"TEST_BACKEND=file://"+t.TempDir())
		if err := rec.Ready(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		const reason = "Worker exited prematurely: signal 9 (SIGKILL)."
		var ids []string
		wanted := map[string]string{}
		for _, c := range []struct{ name, id, words, stored, noted string }{
			{"as it is", "n1", `v2("plain.add", "n1", [1, 2])`, "FAILURE WorkerLostError('Worker exited prematurely: signal 9 (SIGKILL).')", "task_failure n1 WorkerLostError"},
			{"with an errback", "n2", `v2("plain.add", "n2", [1, 2], [errback])`, "FAILURE WorkerLostError", "errback WorkerLostError"},
			{"that came compressed", "n3", `v2("plain.add", "n3", [1, 2], compression="application/x-gzip")`, "FAILURE WorkerLostError", "task_failure n3 WorkerLostError"},
			{"in protocol 1", "n4", `v1("plain.add", "n4", [1, 2])`, "FAILURE WorkerLostError", "task_failure n4 WorkerLostError"},
			{"that nobody knows any more", "n5", `v2("plain.missing", "n5")`, "FAILURE WorkerLostError", ""},
			{"that cannot be read any more", "n6", `v2("plain.add", "n6")[:5] + [b"{"]`, "FAILURE WorkerLostError", ""},
			{"as kombu wrote it", "n8", `unacked(v2("plain.add", "n8", ["ü"], [errback]))`, "FAILURE WorkerLostError", "task_failure n8 WorkerLostError"},
			{"as kombu wrote it, compressed", "n9", `unacked(v2("plain.add", "n9", [1, 2], compression="application/x-gzip"), zlib.compress)`,
				"FAILURE WorkerLostError", "task_failure n9 WorkerLostError"},
			{"that is large", "n7", `v2("plain.add", "n7", ["x" * (200 << 10)])`, "FAILURE WorkerLostError", "task_failure n7 WorkerLostError"},
		} {
			a, err := rec.Record(within(t, patience), LostTask{Message: packed(t, python, c.words), Hostname: "dead@here", Reason: reason})
			if err != nil || a.Error != "" || a.Reply != nil || !strings.HasPrefix(names(a), "task-failed WorkerLostError") {
				t.Errorf("a message %s: %+v, %v", c.name, a, err)
			}
			if c.noted != "" {
				r.noted(c.noted)
			}
			ids = append(ids, c.id)
			wanted[c.id] = c.stored
		}
		for id, got := range r.stored(python, ids) {
			if !strings.HasPrefix(got, wanted[id]) {
				t.Errorf("stored for %s is %s, want %s", id, got, wanted[id])
			}
		}
		if strings.Contains(r.allNotes(), "worker_ready") {
			t.Error("a recorder said that it was a worker")
		}
	})
}

func TestWhatCeleryHasRecordedStaysAsItIs(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		rec, r := recorder(t, python, []string{"-A", "plain", "worker"}, "TEST_BACKEND=file://"+t.TempDir())
		store := exec.Command(python, "-c", `
import plain
for id, state in (("s", "SUCCESS"), ("f", "FAILURE"), ("r", "RETRY"), ("b", "STARTED"), ("x", "REVOKED"), ("again", "FAILURE")):
    plain.app.backend.store_result(id, KeyError("theirs") if state in ("FAILURE", "RETRY") else None, state)`)
		store.Dir, store.Env = "testdata/apps", r.env
		if out, err := store.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := rec.Ready(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		for id, c := range map[string]struct{ reply, stored string }{
			"s": {`{"state": "SUCCESS"}`, "SUCCESS None"}, "f": {`{"state": "FAILURE"}`, "FAILURE KeyError('theirs')"},
			"x": {`{"state": "REVOKED"}`, "REVOKED"}, "r": {"", "FAILURE WorkerLostError"}, "b": {"", "FAILURE WorkerLostError"},
			"again": {"", "FAILURE WorkerLostError"},
		} {
			a, err := rec.Record(within(t, patience), LostTask{Message: packed(t, python, `v2("plain.add", "`+id+`", [1, 2], [errback])`), Again: id == "again"})
			if err != nil || a.Error != "" || string(a.Reply) != c.reply {
				t.Errorf("%s: %+v, %v; want %s", id, a, err, c.reply)
			}
			if got := r.stored(python, []string{id})[id]; !strings.HasPrefix(got, c.stored) {
				t.Errorf("stored for %s is %s, want %s", id, got, c.stored)
			}
		}
		if n := strings.Count(r.allNotes(), "errback"); n != 3 {
			t.Errorf("%d errbacks ran, want 3:\n%s", n, r.allNotes())
		}
	})
}

func TestABackendThatIsDownIsAnErrorAndIsAskedAgain(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		rec, _ := recorder(t, python, []string{"-A", "plain", "worker"}, "TEST_BACKEND=redis://127.0.0.1:1/0", "TEST_NO_RETRY=1")
		if err := rec.Ready(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			a, err := rec.Record(within(t, patience), LostTask{Message: packed(t, python, `v2("plain.add", "d", [1, 2])`)})
			if err != nil || a.Error == "" || a.Events != nil {
				t.Errorf("%+v, %v", a, err)
			}
		}
	})
}

func TestARecorderWhoseAppDoesNotLoadSaysWhy(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		for argv, want := range map[string]string{"-A broken worker": "Unable to load celery application", "-A plain worker --no-such": "no-such", "-A plain report": "starts none"} {
			rec, r := recorder(t, python, strings.Fields(argv))
			if err := rec.Ready(within(t, patience)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v\n%s", argv, err, r.stderr)
			}
		}
	})
}

func TestARecorderThatDiesIsGoneForWhoeverWaits(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		rec, _ := recorder(t, python, []string{"-A", "plain", "worker"})
		if err := rec.Ready(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(rec.pid, syscall.SIGSTOP)
		brief := within(t, 200*time.Millisecond)
		if _, err := rec.Record(brief, LostTask{Message: packed(t, python, `v2("plain.add", "d")`)}); err == nil {
			t.Error("one that stands still has answered")
		}
		_ = syscall.Kill(rec.pid, syscall.SIGKILL)
		if _, err := rec.Record(within(t, patience), LostTask{}); err == nil {
			t.Error("a dead one has answered")
		}
	})
}
