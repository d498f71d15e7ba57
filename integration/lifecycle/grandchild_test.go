//go:build integration

package lifecycle

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/integration/bench/proctree"
	"crisper/integration/harness"
	"crisper/supervisor/process"
)

// In prefork the grandchild is a process of Celery's pool, which Celery replaces: only
// what it ran is cut off. In the other pools it is something that a task left behind.
func playKillOfAGrandchild(l *life) {
	if l.onFiles() && l.c.exec() {
		l.start("--grace", "20") // see endsAfterAReplacement
	} else {
		l.start()
	}
	l.ready()
	if l.c.pool() != "prefork" {
		left := harness.Got(l.g.client.Send(harness.Task{Name: "lifeapp.linger", Args: []any{300}}))(l.t)
		harness.Must(l.t, l.g.Journal.UntilEnded(l.wait(), left))
	}
	l.fill()
	parent := l.victim()
	below := harness.Got(process.Children(parent))(l.t)
	if len(below) == 0 { // the lingering one is another worker's
		for _, pid := range l.workers() {
			below = append(below, harness.Got(process.Children(pid))(l.t)...)
		}
	}
	victim := l.busiest(below)
	if l.onFiles() && !l.running()[victim] { // idle, or its tasks are over: files are looked for once a second
		_, others := waitsForATask(l.t, below) // see the test below for the other
		victim = others[0]
	}
	harness.Must(l.t, syscall.Kill(victim, syscall.SIGKILL))
	l.goesOn()
	if !proctree.Alive(parent) {
		l.t.Error("the whole worker went with it")
	}
	if l.onFiles() && l.c.exec() {
		l.endsAfterAReplacement(parent)
	} else {
		l.endsAfterTERM()
	}
	l.judge(grandchild)
}

// onFiles: without an event loop the processes of a prefork pool share a pipe and a lock.
func (l *life) onFiles() bool { return l.c.pool() == "prefork" && l.c.transport() == "filesystem" }

// endsAfterAReplacement: a pool process that took the place of another was forked by a
// thread of Celery's (billiard's Supervisor), and asked the kernel to be killed when its
// parent dies (celery/concurrency/prefork.py, set_pdeathsig): to the kernel, when that
// thread ends, as it does in a warm shutdown. If that is before the process is told to
// leave, it may take the lock along; the others wait for it, and Celery for them (with
// Celery's own worker, too: now and then, and as good as always if what tells them comes
// a second later). Then the grace ends it, and nothing else may.
func (l *life) endsAfterAReplacement(parent int) {
	l.t.Helper()
	l.send(TERM)
	var since time.Time
	stood := false
	harness.Must(l.t, harness.Until(l.wait(), "the end", func() bool {
		switch {
		case !l.deadWithTheLock(parent):
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > 3*time.Second:
			stood = true
		}
		select {
		case <-l.Done():
			return true
		default:
			return false
		}
	}))
	if code, _, err := l.Wait(l.wait()); err == nil && code == killed && stood {
		l.t.Log("Celery's pool stood still in its warm shutdown: a pool process that its kernel killed has the lock")
		l.ends(killed)
		return
	}
	l.ends(0)
}

// deadWithTheLock: besides the one that we have killed some of the pool have died, and
// wait to be collected or are named in Celery's log; all others wait for a lock.
func (l *life) deadWithTheLock(parent int) bool {
	corpses, waiting := 0, 0
	pool, _ := process.Children(parent)
	for _, pid := range pool {
		switch {
		case !proctree.Alive(pid):
			corpses++
		case strings.Contains(waitsIn(pid), "futex"):
			waiting++
		}
	}
	dead := corpses + strings.Count(l.LogText(), "exited with 'signal 9 (SIGKILL)'") - 1
	return dead > 0 && waiting > 0 && corpses+waiting == len(pool)
}

// busiest is one that runs a task, or the first.
func (l *life) busiest(pids []int) int {
	l.t.Helper()
	if len(pids) == 0 {
		l.t.Fatal("there is no grandchild")
	}
	busy := l.running()
	for _, pid := range pids {
		if busy[pid] {
			return pid
		}
	}
	return pids[0]
}

// waitsForATask tells the processes of an idle prefork pool on the filesystem apart.
// Without an event loop they take their tasks from one pipe under one lock (billiard's
// SimpleQueue, 4.2.4): one waits in the pipe and has the lock, the others wait for that.
func waitsForATask(t *testing.T, pool []int) (reader int, others []int) {
	t.Helper()
	harness.Must(t, harness.Until(harness.Deadline(t, patience), "one pool process to wait for a task and the others for it", func() bool {
		reader, others = 0, nil
		for _, pid := range pool {
			switch at := waitsIn(pid); {
			case strings.Contains(at, "pipe"):
				reader = pid
			case strings.Contains(at, "futex"):
				others = append(others, pid)
			}
		}
		return reader != 0 && len(others) == len(pool)-1
	}))
	return reader, others
}

// waitsIn is the kernel's function in which a process sleeps.
func waitsIn(pid int) string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
	return string(name)
}

// A lock of billiard's dies with the process that has it: nobody of the pool, nor any
// process that Celery puts in its place, gets a task from then on. That is so with
// Celery's own worker; crisper adds nothing, and what it promises is that the pod leaves
// all the same. When Celery's worker passes here no more, this test and the choice of the
// victim above can go.
func TestOnFilesCelerysPoolStandsStillForEverWhenTheProcessThatWaitsForATaskIsKilled(t *testing.T) {
	for _, own := range []bool{true, false} {
		t.Run(map[bool]string{true: "Celery's own worker", false: "crisper exec"}[own], func(t *testing.T) {
			t.Parallel()
			c := cell{"KILL-grandchild", "idle", "filesystem", "prefork", "exec"}
			l := &life{t: t, c: c, g: newGround(t, c, nil)}
			if own {
				l.Worker = harness.Got(l.g.StartStock(l.g.app, "-P", c.pool(), "-c", "2"))(t)
			} else {
				l.start("--grace", "6")
			}
			l.says(`@\S+ ready\.`)
			parent := l.PID()
			if !own {
				parent = l.workers()[0]
			}
			reader, _ := waitsForATask(t, harness.Got(process.Children(parent))(t))
			harness.Must(t, syscall.Kill(reader, syscall.SIGKILL))
			id := harness.Got(l.g.client.Send(harness.T("tick")))(t)
			l.says(`tick\[` + id + `\] received`)
			harness.Must(t, harness.Until(l.wait(), "all of the pool to wait for the dead one", func() bool {
				now, err := process.Children(parent)
				return err == nil && len(now) == 2 && strings.Contains(waitsIn(now[0]), "futex") && strings.Contains(waitsIn(now[1]), "futex")
			}))
			time.Sleep(5 * time.Second) // that nothing happens is what is tested
			if r := l.runs()[id]; r.Starts > 0 {
				t.Errorf("the task ran: %+v", r)
			}
			if !own {
				l.send(TERM)
				l.ends(killed)
			}
		})
	}
}
