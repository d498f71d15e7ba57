//go:build integration

package lifecycle

import (
	"os"
	"strings"
	"syscall"
	"time"

	"crisper/integration/bench/proctree"
	"crisper/integration/harness"
	"crisper/supervisor/ops"
)

// The exit codes are Celery's where they are the command's: INT and QUIT end a worker
// with 1. crisper worker leaves with 0 after a warm shutdown, whoever asked for it.
const (
	TERM, INT, QUIT, HUP = syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP
	killed               = 128 + int(syscall.SIGKILL)
)

// plays says for each event what is done and what must come of it.
func plays() map[string]func(*life) {
	return map[string]func(*life){
		"TERM":            playTERM,
		"TERM-twice":      playTERMTwice,
		"INT":             playINT,
		"QUIT":            playQUIT,
		"HUP":             playHUP,
		"KILL-child":      playKillOfTheChild,
		"KILL-grandchild": playKillOfAGrandchild,
		"OOM":             playOOM,
		"hang":            playHang,
		"exit-1-at-start": playExitAtStart,
		"never-ready":     playNeverReady,
	}
}

func (l *life) code(worker, exec int) int {
	if l.c.exec() {
		return exec
	}
	return worker
}

func playTERM(l *life) {
	l.begin()
	l.endsAfterTERM()
	l.judge(warm)
}

// The second TERM: crisper worker tells Celery to shut down cold; crisper exec passes
// it on, which Celery ignores, and then kills.
func playTERMTwice(l *life) {
	l.begin()
	l.send(TERM)
	l.says(`"draining"`)
	if l.c.exec() {
		// At once, which is two for crisper exec, and before an idle Celery has left.
		harness.Must(l.t, syscall.Kill(l.PID(), TERM))
	} else {
		l.send(TERM)
	}
	got, _, err := l.Wait(l.wait())
	harness.Must(l.t, err)
	if want := l.code(0, killed); got != want && !(l.c.exec() && got == 0) { // it had left before it was killed
		l.t.Errorf("exit code %d, want %d", got, want)
	}
	l.ends(got)
	l.judge(cut)
}

func playINT(l *life) {
	l.begin()
	l.send(INT)
	l.ends(l.code(0, 1))
	l.judge(warm)
}

func playQUIT(l *life) {
	l.begin()
	l.send(QUIT)
	got, _, err := l.Wait(l.wait())
	harness.Must(l.t, err)
	// Alone, Celery leaves with 0 in gevent, and where it cannot cancel a task and
	// stumbles: in solo when one ran, in prefork now and then on a busy machine.
	if got != 1 && !(l.c.exec() && got == 0) {
		l.t.Errorf("exit code %d, want 1", got)
	}
	l.ends(got)
	l.judge(cut)
}

// HUP replaces the workers one by one; alone, Celery's own handler runs the program anew.
func playHUP(l *life) {
	l.begin()
	l.send(HUP)
	if l.c.exec() {
		harness.Must(l.t, harness.Until(l.wait(), "the worker to be ready again", func() bool {
			return strings.Count(l.LogText(), " ready.") >= 2
		}))
	} else {
		l.untilSlots("two new workers", func(s ops.State) bool { return s.Slots[0].Generation == 2 && s.Slots[1].Generation == 2 })
	}
	l.goesOn()
	l.endsAfterTERM()
	l.judge(warm)
}

func playKillOfTheChild(l *life) {
	l.begin()
	victim := l.victim()
	harness.Must(l.t, syscall.Kill(victim, syscall.SIGKILL))
	if l.c.exec() {
		l.ends(killed)
		l.lastWords("signal 9 (SIGKILL)")
		l.judge(cut)
		return
	}
	l.replaced(victim)
	l.goesOn()
	l.endsAfterTERM()
	l.judge(cut)
}

// replaced waits until another worker sits where the victim was, and looks for what
// is left of that.
func (l *life) replaced(victim int) {
	l.t.Helper()
	l.untilSlots("another worker", func(s ops.State) bool { return s.Slots[0].PID != victim && s.Slots[1].PID != victim })
	if left := proctree.PIDs(victim); proctree.Alive(victim) {
		l.t.Errorf("the worker that was replaced lives: %v", left)
	}
}

// OOM: a task eats until the kernel, not the supervisor, ends the fattest process of
// the cgroup. In prefork that is a process of Celery's pool, else the worker.
func playOOM(l *life) {
	group, err := l.g.MakeCgroup(400 << 20)
	if err != nil {
		l.t.Skip(err)
	}
	l.group = group
	l.start("--guard-hard", "0", "--guard-soft", "0")
	l.ready()
	first := l.workers()
	// It eats when the worker has in hand what it is to have: a kill comes soon.
	wish := l.g.Path("wish")
	hog := harness.Got(l.g.client.Send(harness.Task{Name: "lifeapp.hog_when", Args: []any{wish}}))(l.t)
	harness.Must(l.t, l.g.Journal.UntilStarted(l.wait(), hog))
	if l.c.pool() == "solo" {
		l.queued() // they may wait behind it for ever
	} else {
		l.fill()
	}
	harness.Must(l.t, os.WriteFile(wish, []byte("eat"), 0o644))
	harness.Must(l.t, harness.Until(l.wait(), "the kernel to end something", func() bool {
		n, err := group.OOMKills()
		return err == nil && n > 0
	}))
	switch {
	case l.c.pool() == "prefork":
		l.goesOn()
		if now := l.workers(); !equal(now, first) {
			l.t.Errorf("whole workers were replaced: %v, then %v", first, now)
		}
		l.endsAfterTERM()
	case l.c.exec():
		l.ends(killed)
		l.lastWords("OOM killer")
	default:
		l.untilSlots("another worker", func(s ops.State) bool {
			return !equal(first, []int{s.Slots[0].PID, s.Slots[1].PID})
		})
		l.says("OOM killer")
		if l.c.transport() == "rabbitmq" && l.c.pool() == "solo" {
			l.outlives(hog)
			harness.Must(l.t, os.WriteFile(wish, []byte("enough"), 0o644))
		}
		l.goesOn()
		l.endsAfterTERM()
	}
	l.judge(cut)
}

// outlives: the kernel ends one worker after the other for more than the minute in which
// a pod gives up whose workers cannot be started.
// A solo worker acknowledges after the task whatever the task says, since what it has to
// tell its connection waits for its loop (celery/worker/consumer/consumer.py, call_soon,
// 5.7): RabbitMQ delivers the task to the next, with all that was prefetched beside it.
// That is Celery's way with one task that kills all workers; ours is to stay.
func (l *life) outlives(poison string) {
	l.t.Helper()
	first := l.runs()[poison].Entries[0].At()
	harness.Must(l.t, harness.Until(harness.Deadline(l.t, 3*patience), "more than a minute of deaths", func() bool {
		select {
		case <-l.Done():
			l.t.Fatal("it gave up")
		default:
		}
		r := l.runs()[poison]
		return r.Starts >= 5 && r.Entries[len(r.Entries)-1].At().Sub(first) > 75*time.Second
	}))
}

func equal(a, b []int) bool { return len(a) == len(b) && a[0] == b[0] && a[len(a)-1] == b[len(b)-1] }

// Workers that take nothing although messages wait are replaced, where the backlog can
// be asked for: on Redis. Elsewhere a worker that is stopped does not hold up the end of
// the pod beyond its grace.
func playHang(l *life) {
	if !l.c.exec() && l.c.transport() == "redis" {
		l.begin("--hang-timeout", "5s", "--grace", "10")
		for _, pid := range l.workers() {
			harness.Must(l.t, syscall.Kill(pid, syscall.SIGSTOP))
		}
		l.fillsSockets()
		l.says(`"reason":"hung"`) // of one: its successor leaves nothing that would tell of the other
		l.endsAfterTERM()
		l.judge(cut)
		return
	}
	l.begin("--grace", "6")
	harness.Must(l.t, syscall.Kill(l.victim(), syscall.SIGSTOP))
	l.send(TERM)
	l.ends(l.code(0, killed))
	if l.c.exec() {
		l.lastWords("did not leave within its grace of 6s")
	}
	l.judge(cut)
}

func playExitAtStart(l *life) {
	l.queued()
	l.g.module("leaves", "raise SystemExit(1)\n")
	l.start()
	if l.c.exec() {
		l.ends(1)
	} else {
		l.says(`"to":"backoff"`)
		l.endsAfterTERM()
	}
	l.judge(untouched)
}

// A worker that never gets ready: a broker that takes connections and says nothing,
// or an app that does not end its import.
func playNeverReady(l *life) {
	l.queued()
	switch l.c.transport() {
	case "redis":
		l.g.app.Broker = l.g.blackHole("redis")
	case "rabbitmq":
		l.g.app.Broker = l.g.blackHole("amqp")
	default:
		l.g.module("waits", "import time\ntime.sleep(1000)\n")
	}
	if l.c.exec() {
		l.start("--grace", "4")
		l.says(`"to":"ready"`) // of the command: there is no knowing what it wants to be
	} else {
		l.start("--start-timeout", "5s", "--grace", "6")
		l.says("not ready after 5s")
		if code, body, err := l.Get(l.wait(), "/readyz"); err != nil || code != 503 {
			l.t.Errorf("/readyz: %d %s %v", code, body, err)
		}
	}
	l.send(TERM)
	got, _, err := l.Wait(l.wait())
	harness.Must(l.t, err)
	if !l.c.exec() && got != 0 {
		l.t.Errorf("exit code %d, want 0", got)
	}
	l.ends(got) // of the command: what Celery makes of TERM while it connects
	l.judge(untouched)
}

// fillsSockets sends more than vanishes: each stopped worker waits in a BRPOP, and what
// Redis answers to that is in nobody's hands any more (kombu's gap, not closed here).
func (l *life) fillsSockets() {
	l.t.Helper()
	var ids []string
	for range 8 {
		ids = append(ids, harness.Got(l.g.client.Send(harness.T("tick")))(l.t))
	}
	harness.Must(l.t, harness.Until(l.wait(), "half of the tasks to run", func() bool {
		runs, ended := l.runs(), 0
		for _, id := range ids {
			ended += runs[id].Ends
		}
		return ended >= len(ids)/2
	}))
}

// workers are the pids of the Celery workers, by slot.
func (l *life) workers() (pids []int) {
	l.t.Helper()
	for _, s := range harness.Got(l.State(l.wait()))(l.t).Slots {
		pids = append(pids, s.PID)
	}
	return pids
}

// victim is the worker that runs a task, or the first when none does.
func (l *life) victim() int {
	l.t.Helper()
	workers := l.workers()
	busy := l.running()
	for _, pid := range workers {
		for _, below := range append(proctree.PIDs(pid), pid) {
			if busy[below] {
				return pid
			}
		}
	}
	return workers[0]
}

// running are the processes in which a task has begun and not ended.
func (l *life) running() map[int]bool {
	pids := map[int]bool{}
	for id, r := range l.runs() {
		if (l.early[id] || l.late[id]) && r.Starts > r.Ends {
			pids[r.Entries[len(r.Entries)-1].PID] = true
		}
	}
	return pids
}

// What may have happened to tasks.
type manner string

const (
	untouched  manner = "untouched"  // nobody has taken anything
	warm       manner = "warm"       // what began has ended
	grandchild manner = "grandchild" // at most one task was cut off
	cut        manner = "cut"        // what ran was cut off
)

// judge compares what was sent with what ran and what lies at the broker.
func (l *life) judge(m manner) {
	l.t.Helper()
	lossy := l.c.transport() == "filesystem" && m == cut // see TestLifecycle
	var held string
	missing := func() (ids []string) {
		held = l.g.held()
		for id, r := range l.fates() {
			if r.Ends == 0 && !strings.Contains(held, id) && l.promised(id, r, m) {
				ids = append(ids, id)
			}
		}
		return ids
	}
	if !lossy {
		// RabbitMQ needs a moment to see that a connection has broken.
		_ = harness.Until(harness.Deadline(l.t, patience/9), "all tasks to be somewhere", func() bool { return len(missing()) == 0 })
		if lost := missing(); len(lost) > 0 {
			l.t.Errorf("lost: %v", lost)
		}
	}
	for id, r := range l.fates() {
		there := strings.Contains(held, id)
		switch {
		case m == untouched && (r.Starts > 0 || !there):
			l.t.Errorf("%s was started %d times, at the broker: %t", id, r.Starts, there)
		case m == warm && r.Starts != r.Ends, m == warm && (r.Starts > 1 || r.Ends > 0 && there) && !l.begunAndGivenBack():
			l.t.Errorf("%s (late: %t) was started %d times, ended %d times, at the broker: %t", id, l.late[id], r.Starts, r.Ends, there)
		}
	}
}

// begunAndGivenBack: a warm shutdown of Celery's prefork pool forgets the tasks whose
// start its processes have not told yet, and gives their messages back: one that
// begins in this moment runs twice (asynpool.py, flush, 5.7). The acknowledgment of a
// late one that ends in the shutdown is at times not sent any more, as was seen with
// RabbitMQ on a busy machine. Neither is a loss.
func (l *life) begunAndGivenBack() bool { return l.c.pool() == "prefork" }

// promised: a task that has not ended must be at the broker.
func (l *life) promised(id string, r harness.Runs, m manner) bool {
	return m == warm || m == untouched || l.late[id] || r.Starts == 0
}

// fates is what the journal says of every task that was sent.
func (l *life) fates() map[string]harness.Runs {
	l.t.Helper()
	all, runs := map[string]harness.Runs{}, l.runs()
	for _, ids := range []map[string]bool{l.early, l.late} {
		for id := range ids {
			all[id] = runs[id]
		}
	}
	return all
}
