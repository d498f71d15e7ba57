package native

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"crisper/broker"
	"crisper/broker/celerymsg"
	"crisper/supervisor/agent"
	"crisper/supervisor/ops"
	"crisper/supervisor/pool"
	"crisper/supervisor/reaper"
	"crisper/supervisor/wire"
)

// world is a worker without Python: executors are goroutines that speak the wire
// format over real sockets, the broker is a list in memory, processes are
// numbers. Whatever happens between the loop and its edges happens for real.
type world struct {
	t       *testing.T
	broker  *memoryBroker
	zygote  *fakeZygote
	reaper  *fakeReaper
	signals chan os.Signal
	runtime *Runtime
	exited  chan int
}

func newWorld(t *testing.T, change func(*Config), tasks map[string]agent.Task) *world {
	t.Helper()
	return newWorldOn(t, func(b *memoryBroker) broker.Consumer { return b }, change, tasks)
}

// newWorldOn has a broker around the one in memory.
func newWorldOn(t *testing.T, around func(*memoryBroker) broker.Consumer, change func(*Config), tasks map[string]agent.Task) *world {
	t.Helper()
	w := &world{
		t: t, broker: newMemoryBroker(), reaper: newFakeReaper(),
		signals: make(chan os.Signal, 4), exited: make(chan int, 1),
	}
	w.zygote = newFakeZygote(w)
	cfg := Config{
		Pool: pool.Defaults(2), PrefetchMultiplier: 4, PoisonLimit: 3, OnCutoff: "fail",
		Grace: 30 * time.Second, GraceMargin: time.Second, Depth: 16, StuckAfter: time.Minute,
	}
	if change != nil {
		change(&cfg)
	}
	info := agent.Info{Hostname: "celery@test", Tasks: tasks, Accept: []string{"application/json"}}
	rt, err := New(cfg, Deps{
		Log: zaptest.NewLogger(t), Metrics: ops.NewMetrics(prometheus.NewRegistry()),
		Reaper: w.reaper, Broker: around(w.broker), Signals: w.signals,
		Launch: func(context.Context, int) (Zygote, error) { return nil, errors.New("no second zygote here") },
		Now:    time.Now, Jitter: func() float64 { return 0 }, Stderr: os.Stderr,
		OnBug: func(what string, err error) { t.Errorf("internal error: %s: %v", what, err) },
	}, w.zygote, info)
	if err != nil {
		t.Fatal(err)
	}
	w.runtime = rt
	go func() {
		exit, _ := rt.Run(context.Background())
		w.exited <- exit
	}()
	t.Cleanup(func() {
		w.signals <- syscall.SIGQUIT
		<-w.runtime.loop.stopped
	})
	return w
}

// tasks says what a task does from now on.
func (w *world) tasks(behave func(p *fakeProc, task string) wire.Outcome) {
	w.zygote.mu.Lock()
	defer w.zygote.mu.Unlock()
	w.zygote.behave = behave
}

// leave waits for the end of the worker.
func (w *world) leave() int {
	w.t.Helper()
	select {
	case exit := <-w.exited:
		w.exited <- exit
		return exit
	case <-time.After(20 * time.Second):
		w.t.Fatal("the worker does not leave")
		return -1
	}
}

// publish puts messages of a task into the queue.
func (w *world) publish(task string, n int) {
	for range n {
		w.broker.publish(task)
	}
}

// memoryBroker keeps one queue and every verdict.
type memoryBroker struct {
	mu      sync.Mutex
	queue   []broker.Delivery
	held    map[broker.Tag]broker.Delivery
	begun   map[broker.Tag]broker.Verb
	verdict map[broker.Tag]broker.Verb
	next    int
	waiting bool
	events  chan broker.Event
	changed chan struct{}
	down    bool
	stall   chan struct{} // if there is one, a take that found something says so on it, and waits there
}

func newMemoryBroker() *memoryBroker {
	return &memoryBroker{
		held: map[broker.Tag]broker.Delivery{}, begun: map[broker.Tag]broker.Verb{}, verdict: map[broker.Tag]broker.Verb{},
		events: make(chan broker.Event, 100), changed: make(chan struct{}, 1),
	}
}

func (b *memoryBroker) publish(task string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	id := fmt.Sprintf("task-%d", b.next)
	raw := fmt.Sprintf(`{"body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8", "content-type": "application/json",
		"headers": {"lang": "py", "task": %q, "id": %q}, "properties": {"body_encoding": "base64", "delivery_tag": %q,
		"delivery_info": {"exchange": "", "routing_key": "celery"}}}`, task, id, id)
	b.queue = append(b.queue, broker.Delivery{Tag: broker.Tag(id), Queue: "celery", Message: celerymsg.ParseEnvelope([]byte(raw))})
	if b.waiting {
		b.waiting = false
		b.events <- broker.Ready{}
	}
}

// slip puts a task with an ETA into the queue and tells nobody.
func (b *memoryBroker) slip(task, eta string) {
	b.mu.Lock()
	waiting := b.waiting
	b.waiting = false
	b.mu.Unlock()
	b.publish(task)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue[len(b.queue)-1].Message.ETA = eta
	b.waiting = waiting
}

func (b *memoryBroker) Run(ctx context.Context) error {
	b.events <- broker.Connected{Server: "memory://"}
	<-ctx.Done()
	close(b.events)
	return nil
}

func (b *memoryBroker) Events() <-chan broker.Event { return b.events }

func (b *memoryBroker) Take(ctx context.Context, n int) ([]broker.Delivery, error) {
	return b.TakeStarted(ctx, n, 0)
}

// TakeStarted implements broker.Starter.
func (b *memoryBroker) TakeStarted(_ context.Context, n, start int, short ...string) ([]broker.Delivery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, len(b.queue))
	out := append([]broker.Delivery(nil), b.queue[:n]...)
	b.queue = b.queue[n:]
	open := true
	for i, d := range out {
		b.held[d.Tag] = d
		begins := d.Message.ETA == "" && (i < start || open && slices.Contains(short, d.Message.Task))
		if open = open && (i < start || begins); begins {
			out[i].Started, b.begun[d.Tag] = true, broker.Accept
		}
	}
	b.waiting = len(b.queue) == 0
	if stall := b.stall; stall != nil && len(out) > 0 {
		b.mu.Unlock()
		stall <- struct{}{} // booked
		<-stall             // answered
		b.mu.Lock()
	}
	return out, nil
}

func (b *memoryBroker) Settle(_ context.Context, batch []broker.Settlement) (gone []broker.Tag, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, broker.ErrUnavailable
	}
	for _, s := range batch {
		d, ok := b.held[s.Tag]
		if !ok {
			gone = append(gone, s.Tag)
			continue
		}
		b.carryOut(d, s)
	}
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return gone, nil
}

func (b *memoryBroker) carryOut(d broker.Delivery, s broker.Settlement) {
	if s.Verb == broker.Begin || s.Verb == broker.Accept {
		b.begun[s.Tag] = s.Verb
		return
	}
	delete(b.held, s.Tag)
	b.verdict[s.Tag] = s.Verb
	if s.Deaths > 0 {
		d.Deaths = s.Deaths
	}
	switch s.Verb {
	case broker.Restore:
		b.queue = append([]broker.Delivery{d}, b.queue...)
	case broker.Requeue:
		b.queue = append(b.queue, d)
		if b.waiting {
			b.waiting = false
			b.events <- broker.Ready{}
		}
	}
}

func (b *memoryBroker) Backlog(context.Context) (map[string]broker.Backlog, error) { return nil, nil }
func (b *memoryBroker) Close(context.Context) error                                { return nil }

// until waits for the broker's books to look as wanted.
func (b *memoryBroker) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.After(15 * time.Second)
	for {
		b.mu.Lock()
		good := ok()
		b.mu.Unlock()
		if good {
			return
		}
		select {
		case <-b.changed:
		case <-end:
			b.mu.Lock()
			defer b.mu.Unlock()
			t.Fatalf("never: %s\nverdicts %v\nheld %d, queued %d", what, b.verdict, len(b.held), len(b.queue))
		}
	}
}

func (b *memoryBroker) verdicts(v broker.Verb) (n int) {
	for _, got := range b.verdict {
		if got == v {
			n++
		}
	}
	return n
}

// fakeReaper is the kernel: it knows which numbers live.
type fakeReaper struct {
	mu    sync.Mutex
	procs map[int]*fakeProc
	next  int
}

func newFakeReaper() *fakeReaper { return &fakeReaper{procs: map[int]*fakeProc{}, next: 100} }

func (r *fakeReaper) Watch(pid int, fn func(reaper.Status)) {
	r.mu.Lock()
	p := r.procs[pid]
	r.mu.Unlock()
	go func() {
		<-p.dead
		fn(p.status)
	}()
}

func (r *fakeReaper) Signal(pid int, sig syscall.Signal) error {
	r.mu.Lock()
	p := r.procs[pid]
	r.mu.Unlock()
	if p == nil {
		return errors.New("no such process")
	}
	if sig == syscall.SIGUSR1 {
		select {
		case p.interrupted <- struct{}{}:
		default:
		}
		return nil
	}
	p.die(reaper.Status{PID: pid, Signal: sig})
	return nil
}

// fakeProc is an executor or steward: a goroutine with a socket and a number.
type fakeProc struct {
	pid         int
	sock        *os.File
	kill        chan struct{}
	dead        chan struct{}
	status      reaper.Status
	once        sync.Once
	interrupted chan struct{}
}

func (p *fakeProc) die(st reaper.Status) {
	p.once.Do(func() {
		p.status = st
		close(p.kill)
		close(p.dead)
	})
}

// fakeZygote forks goroutines. behave decides what a task does.
type fakeZygote struct {
	w      *world
	events chan agent.ZygoteEvent
	mu     sync.Mutex
	behave func(p *fakeProc, task string) wire.Outcome
	ran    map[string]int // task ids begun
	forks  int
	asked  []string
	dies   string        // the steward dies of this question
	slow   chan struct{} // if there is one, the steward answers when it is closed
}

func newFakeZygote(w *world) *fakeZygote {
	return &fakeZygote{
		w: w, events: make(chan agent.ZygoteEvent, 100), ran: map[string]int{},
		behave: func(*fakeProc, string) wire.Outcome { return wire.Success },
	}
}

func (z *fakeZygote) Events() <-chan agent.ZygoteEvent {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.events
}
func (z *fakeZygote) Quit() error { z.mu.Lock(); defer z.mu.Unlock(); z.close(); return nil }
func (z *fakeZygote) PID() int    { return 99 }

func (z *fakeZygote) close() {
	if z.events != nil {
		close(z.events)
		z.events = nil
	}
}

func (z *fakeZygote) Fork(req agent.ForkRequest, sock, _ *os.File) error {
	fd, err := syscall.Dup(int(sock.Fd()))
	if err != nil {
		return err
	}
	r := z.w.reaper
	r.mu.Lock()
	r.next++
	p := &fakeProc{
		pid: r.next, sock: os.NewFile(uintptr(fd), "child"),
		kill: make(chan struct{}), dead: make(chan struct{}), interrupted: make(chan struct{}, 1),
	}
	r.procs[p.pid] = p
	r.mu.Unlock()
	z.mu.Lock()
	z.forks++
	z.events <- agent.ForkedEvent{Child: req.Child, PID: p.pid}
	z.mu.Unlock()
	go z.live(p, req.Role)
	return nil
}

// live is the executor loop and the steward loop in one.
func (z *fakeZygote) live(p *fakeProc, role string) {
	p.write(wire.AppendFrame(nil, wire.Hello, 0, []byte(`{}`)))
	defer p.sock.Close()
	buf := make([]byte, 1<<20)
	for p.readable() {
		n, err := syscall.Read(int(p.sock.Fd()), buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		f, _, err := wire.Parse(buf[:n])
		if err != nil {
			panic(err)
		}
		if !z.serve(p, role, f) {
			break
		}
	}
	p.die(reaper.Status{PID: p.pid})
}

// readable waits for a frame; false when the process is dead. A killed process
// must stop reading at once, so it looks up every few milliseconds.
func (p *fakeProc) readable() bool {
	fds := []unix.PollFd{{Fd: int32(p.sock.Fd()), Events: unix.POLLIN}}
	for {
		select {
		case <-p.kill:
			return false
		default:
		}
		if n, _ := unix.Poll(fds, 5); n > 0 {
			return true
		}
	}
}

// serve does one frame; false to leave.
func (z *fakeZygote) serve(p *fakeProc, role string, f wire.Frame) bool {
	switch f.Kind {
	case wire.Exit:
		return false
	case wire.Request:
		answer := z.answer(f.Payload)
		if answer == nil {
			return false
		}
		p.write(wire.AppendFrame(nil, wire.Answer, f.Seq, answer))
	case wire.Task:
		return z.runTask(p, f)
	}
	return true
}

func (z *fakeZygote) runTask(p *fakeProc, f wire.Frame) bool {
	request, _, _, _, err := wire.ParseTask(f.Payload)
	if err != nil {
		panic(err)
	}
	var r struct{ Task, ID string }
	json.Unmarshal(request, &r)
	p.write(wire.AppendFrame(nil, wire.Begun, f.Seq, nil))
	z.mu.Lock()
	z.ran[r.ID]++
	behave := z.behave
	z.mu.Unlock()
	began := time.Now()
	outcome := behave(p, r.Task)
	took := time.Since(began)
	select {
	case <-p.kill:
		return false
	default:
	}
	p.write(wire.AppendDone(nil, f.Seq, wire.Report{Outcome: outcome, Runtime: took}))
	return true
}

// answer is what Celery's Request would decide: a failure of a task that says
// "again" in its name is requeued.
func (z *fakeZygote) answer(payload []byte) []byte {
	n := binary.BigEndian.Uint32(payload)
	var head struct{ Op string }
	json.Unmarshal(payload[4:4+n], &head)
	z.mu.Lock()
	z.asked = append(z.asked, head.Op)
	dies, slow := z.dies, z.slow
	z.mu.Unlock()
	if slow != nil {
		<-slow
	}
	if head.Op == dies {
		return nil
	}
	if head.Op == agent.OpFailure && strings.Contains(string(payload), "again") {
		return []byte(`{"verb": "requeue"}`)
	}
	return []byte(`{"verb": "ack"}`)
}

func (p *fakeProc) write(frame []byte) { syscall.Write(int(p.sock.Fd()), frame) }
