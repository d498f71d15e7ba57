//go:build integration && linux

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"crisper/broker/celerymsg"
	"crisper/supervisor/wire"
)

// patience bounds every wait of these tests; a loaded machine is slow.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	// Executors are reparented to the supervisor: here, to the test.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "cannot become a subreaper:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// eachPython runs a test with every interpreter that has Celery:
// $CRISPER_TEST_PYTHON and $CRISPER_TEST_PYTHON_OLD.
func eachPython(t *testing.T, test func(t *testing.T, python string)) {
	found := false
	for _, name := range []string{"CRISPER_TEST_PYTHON", "CRISPER_TEST_PYTHON_OLD"} {
		if python := os.Getenv(name); python != "" {
			found = true
			t.Run(name, func(t *testing.T) { test(t, python) })
		}
	}
	if !found {
		t.Skip("set CRISPER_TEST_PYTHON to an interpreter with Celery")
	}
}

// rig is a zygote with its children.
type rig struct {
	t      testing.TB
	z      *Zygote
	info   Info
	stderr *lockedBuffer
	notes  string // the file that the app writes to
	env    []string
	next   uint64
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// launch starts a zygote for an app in testdata/apps and does not wait for it.
func launch(t testing.TB, python string, options Options, env ...string) *rig {
	t.Helper()
	dir, cleanup, err := Unpack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cleanup)
	apps, _ := filepath.Abs("testdata/apps")
	options.Workdir = apps
	r := &rig{t: t, stderr: &lockedBuffer{}, notes: filepath.Join(t.TempDir(), "notes")}
	r.env = append(append(os.Environ(), "TEST_NOTES="+r.notes, "PYTHONWARNINGS=ignore", "C_FORCE_ROOT=1"), env...)
	r.z, err = Launch(context.Background(), LaunchConfig{
		Python: python, Dir: dir, Options: options, Env: r.env, Stdout: r.stderr, Stderr: r.stderr, Generation: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.z.Quit()
		for range r.z.Events() { // until it has exited
		}
		if t.Failed() {
			t.Logf("the children's output:\n%s", r.stderr)
		}
	})
	return r
}

// load is launch, and the app is loaded.
func load(t testing.TB, python string, options Options, env ...string) *rig {
	t.Helper()
	r := launch(t, python, options, env...)
	loaded, ok := r.event().(LoadedEvent)
	if !ok {
		t.Fatalf("the app did not load:\n%s", r.stderr)
	}
	r.info = loaded.Info
	return r
}

func (r *rig) event() ZygoteEvent {
	r.t.Helper()
	select {
	case e, ok := <-r.z.Events():
		if !ok {
			r.t.Fatal("the zygote has no more events")
		}
		return e
	case <-time.After(patience):
		r.t.Fatal("the zygote says nothing")
	}
	return nil
}

// child is one executor or steward.
type child struct {
	rig    *rig
	conn   *wire.Conn
	page   *wire.Page
	pid    int
	frames chan wire.Frame
	exited chan syscall.WaitStatus
	seq    atomic.Uint64
}

func (r *rig) fork(role string) *child {
	r.t.Helper()
	conn, theirs, err := wire.Pair()
	if err != nil {
		r.t.Fatal(err)
	}
	page, err := wire.NewPage()
	if err != nil {
		r.t.Fatal(err)
	}
	r.next++
	req := ForkRequest{Child: r.next, Role: role, Slot: 3, Generation: 1, Index: 4, Results: true, OOMScoreAdj: 500}
	if err := r.z.Fork(req, theirs, page.File()); err != nil {
		r.t.Fatal(err)
	}
	theirs.Close()
	forked, ok := r.event().(ForkedEvent)
	if !ok || forked.Child != r.next {
		r.t.Fatalf("no child %d", r.next)
	}
	c := &child{
		rig: r, conn: conn, page: page, pid: forked.PID,
		frames: make(chan wire.Frame, 1024), exited: make(chan syscall.WaitStatus, 1),
	}
	go c.receive()
	go c.wait()
	r.t.Cleanup(c.end)
	hello := c.frame()
	var h Hello
	if err := json.Unmarshal(hello.Payload, &h); err != nil || hello.Kind != wire.Hello || h.Child != r.next || h.Pid != c.pid {
		r.t.Fatalf("the first frame is %c %s, want a Hello of %d", hello.Kind, hello.Payload, c.pid)
	}
	return c
}

func (c *child) receive() {
	defer close(c.frames)
	for {
		batch, err := c.conn.Receive(nil)
		for len(batch) > 0 {
			f, rest, perr := wire.Parse(batch)
			if perr != nil {
				c.rig.t.Errorf("the child's frame: %v", perr)
				return
			}
			c.frames <- f
			batch = rest
		}
		if err != nil {
			return
		}
	}
}

func (c *child) wait() {
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(c.pid, &ws, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err == nil {
			c.exited <- ws
		}
		c.conn.Finish()
		return
	}
}

func (c *child) end() {
	_ = syscall.Kill(c.pid, syscall.SIGKILL)
	select {
	case <-c.exited:
	case <-time.After(patience):
	}
	c.conn.Close()
	c.page.Close()
}

func (c *child) frame() wire.Frame {
	c.rig.t.Helper()
	select {
	case f, ok := <-c.frames:
		if !ok {
			c.rig.t.Fatalf("the child has closed its socket:\n%s", c.rig.stderr)
		}
		return f
	case <-time.After(patience):
		c.rig.t.Fatalf("the child says nothing:\n%s", c.rig.stderr)
	}
	return wire.Frame{}
}

func (c *child) exitStatus() syscall.WaitStatus {
	c.rig.t.Helper()
	select {
	case ws := <-c.exited:
		c.exited <- ws // for end
		return ws
	case <-time.After(patience):
		c.rig.t.Fatal("the child does not exit")
	}
	return 0
}

// message is a task message as Celery publishes it.
func message(task, id string, args ...any) *celerymsg.Message {
	if args == nil {
		args = []any{}
	}
	body, _ := json.Marshal([]any{args, map[string]any{}, map[string]any{"callbacks": nil, "errbacks": nil, "chain": nil, "chord": nil}})
	headers, _ := json.Marshal(map[string]any{
		"lang": "py", "task": task, "id": id, "root_id": id, "parent_id": nil, "group": nil, "retries": 0,
		"timelimit": []any{nil, nil}, "eta": nil, "expires": nil, "argsrepr": "()", "kwargsrepr": "{}",
	})
	return &celerymsg.Message{
		Headers: headers, Body: body, ContentType: "application/json", ContentEncoding: "utf-8",
		Properties: []byte(`{"correlation_id": "` + id + `", "reply_to": "r", "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0}`),
		Task:       task, ID: id,
	}
}

func (c *child) send(frame []byte) {
	c.rig.t.Helper()
	if err := c.conn.Send(frame); err != nil {
		c.rig.t.Fatal(err)
	}
}

// start sends a task and waits until it has begun.
func (c *child) start(m *celerymsg.Message) uint64 {
	c.rig.t.Helper()
	seq := c.seq.Add(1)
	c.send(wire.AppendTask(nil, seq, m, c.rig.info.Hostname))
	if f := c.frame(); f.Kind != wire.Begun || f.Seq != seq {
		c.rig.t.Fatalf("got frame %c of %d, want Begun of %d", f.Kind, f.Seq, seq)
	}
	return seq
}

func (c *child) done(seq uint64) wire.Report {
	c.rig.t.Helper()
	f := c.frame()
	if f.Kind != wire.Done || f.Seq != seq {
		c.rig.t.Fatalf("got frame %c of %d, want Done of %d", f.Kind, f.Seq, seq)
	}
	report, err := wire.ParseDone(f.Payload)
	if err != nil {
		c.rig.t.Fatal(err)
	}
	return report
}

// run is start and done.
func (c *child) run(m *celerymsg.Message) wire.Report {
	c.rig.t.Helper()
	return c.done(c.start(m))
}

// ask puts a question to a steward.
func (c *child) ask(op string, args map[string]any, m *celerymsg.Message) Answer {
	c.rig.t.Helper()
	head := map[string]any{"op": op}
	for k, v := range args {
		head[k] = v
	}
	js, _ := json.Marshal(head)
	seq := c.seq.Add(1)
	c.send(wire.AppendRequest(nil, seq, js, m, c.rig.info.Hostname))
	f := c.frame()
	if f.Kind != wire.Answer || f.Seq != seq {
		c.rig.t.Fatalf("got frame %c of %d, want Answer of %d", f.Kind, f.Seq, seq)
	}
	var a Answer
	if err := json.Unmarshal(f.Payload, &a); err != nil {
		c.rig.t.Fatal(err)
	}
	return a
}

// noted waits until the app has noted the text.
func (r *rig) noted(text string) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for !strings.Contains(r.allNotes(), text) {
		if time.Now().After(deadline) {
			r.t.Fatalf("the app did not note %q but:\n%s", text, r.allNotes())
		}
		time.Sleep(5 * time.Millisecond) // another process writes the file
	}
}

func (r *rig) allNotes() string {
	b, err := os.ReadFile(r.notes)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, io.EOF) {
		r.t.Fatal(err)
	}
	return string(b)
}

func itoa(n int) string { return fmt.Sprint(n) }
