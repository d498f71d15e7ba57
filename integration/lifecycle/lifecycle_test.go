//go:build integration

package lifecycle

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
	"crisper/supervisor/ops"
)

// TestLifecycle plays a choice of the matrix in which every two values meet, or with
// CRISPER_LIFECYCLE=all (make lifecycle) all of it.
//

// The promise that is checked is Celery's own, made good: a task that runs in a warm
// shutdown ends; one that has not begun is at the broker again; one that is
// acknowledged late and rejected when its worker is lost has ended or is at the
// broker, whatever happened. What Celery does not promise is not asked for: an
// early-acknowledged task that is cut off is gone, and on the filesystem transport,
// whose messages are in nobody's hands but the consumer's, so is everything that a
// killed worker had taken.
func TestLifecycle(t *testing.T) {
	// Under nohup we ignore HUP, and so would what we start: what is caught here is
	// set to its default there.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	cells := allCells()
	whole := os.Getenv("CRISPER_LIFECYCLE") == "all"
	if !whole {
		cells = covering(cells)
	}
	r := &rabbit{t: t}
	for i, c := range cells {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			play(t, c, r)
			if whole { // somebody watches
				fmt.Printf("%s  %d of %d  %s (%.0f s)\n", time.Now().Format("15:04:05"), i+1, len(cells), c, time.Since(began).Seconds())
			}
		})
	}
}

// life is one cell while it is played.
type life struct {
	*harness.Worker
	t           *testing.T
	c           cell
	g           *ground
	group       *harness.Cgroup
	marker      string
	last        string          // the termination message
	early, late map[string]bool // ids
}

func play(t *testing.T, c cell, r *rabbit) {
	l := &life{t: t, c: c, g: newGround(t, c, r), early: map[string]bool{}, late: map[string]bool{}}
	plays()[c.event()](l)
	if strings.Contains(l.LogText(), "impossible event") {
		t.Error("the log has something impossible")
	}
}

// start starts the worker of the cell. options are crisper's.
func (l *life) start(options ...string) {
	l.t.Helper()
	app := l.g.app
	l.marker = fmt.Sprintf("LIFECYCLE_MARK=%d-%d", os.Getpid(), time.Now().UnixNano())
	l.last = l.g.Path("last-words")
	harness.Must(l.t, os.WriteFile(l.last, nil, 0o644))
	app.Env = append(app.Env, l.marker)
	options = append(options, "--termination-log", l.last)
	// The server is shared by cells, and node names are.
	celery := []string{"-P", l.c.pool(), "-c", "2", "-n", fmt.Sprintf("life%d@%%h", time.Now().UnixNano())}
	if !l.c.exec() {
		line := append(append(options, "--runtime=celery", "--children", "2"), celery...)
		l.Worker = harness.Got(l.g.StartCrisperIn(l.group, app, line...))(l.t)
		return
	}
	port := harness.Got(harness.FreePort())(l.t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	line := append([]string{l.g.Binary, "exec", "--http", address, "--socket", "off", "--log-format", "json", "--loglevel", "INFO"}, options...)
	line = append(line, "--", filepath.Join(filepath.Dir(l.g.Python), "celery"), "-A", l.g.app.Name, "worker", "-l", "INFO")
	p := harness.Got(l.g.Start(harness.Command{Name: "exec", Args: append(line, celery...), Env: l.g.Env(app), Cgroup: l.group}))(l.t)
	l.Worker = &harness.Worker{Process: p, HTTP: address}
}

// patience is for everything that takes seconds on an idle machine. (harness.Deadline
// waits several times as long.)
const patience = 30 * time.Second

func (l *life) wait() context.Context { return harness.Deadline(l.t, patience) }

// begin starts the worker and brings it into the state in which the event comes.
func (l *life) begin(options ...string) {
	l.t.Helper()
	l.start(options...)
	l.ready()
	l.fill()
}

// ready waits until every Celery worker takes tasks.
func (l *life) ready() {
	l.t.Helper()
	if l.c.exec() {
		l.says(`@\S+ ready\.`)
		return
	}
	harness.Must(l.t, l.WaitReady(l.wait()))
	l.untilSlots("all to be ready", func(ops.State) bool { return true })
}

func (l *life) untilSlots(what string, yes func(ops.State) bool) {
	l.t.Helper()
	harness.Must(l.t, l.UntilState(l.wait(), what, func(s ops.State) bool {
		for _, slot := range s.Slots {
			if slot.State != "ready" && slot.State != "busy" {
				return false
			}
		}
		return len(s.Slots) == 2 && yes(s)
	}))
}

// fill gives the worker what it has in hand when the event comes: nothing, two tasks
// that run, or those and four that wait behind them.
func (l *life) fill() {
	l.t.Helper()
	if l.c.load() == "idle" {
		return
	}
	l.sends(1)
	running := 2
	if l.c.pool() == "solo" {
		running = 1
	}
	harness.Must(l.t, harness.Until(l.wait(), "tasks to run", func() bool { return l.started() >= running }))
	if l.c.load() == "active" {
		return
	}
	l.sends(2)
	if l.c.pool() != "solo" { // which hears of nothing while it runs a task
		harness.Must(l.t, harness.Until(l.wait(), "tasks to be reserved", func() bool {
			return strings.Count(l.LogText(), "] received") >= 6
		}))
	}
}

// sends sends n early- and n late-acknowledged tasks of two seconds.
func (l *life) sends(n int) {
	l.t.Helper()
	for range n {
		l.early[harness.Got(l.g.client.Send(harness.T("sleepy", 2)))(l.t)] = true
		l.late[harness.Got(l.g.client.Send(harness.T("sleepy_lost", 2)))(l.t)] = true
	}
}

// queued puts messages where the worker would find them if it ever took any.
func (l *life) queued() {
	l.t.Helper()
	switch l.c.load() {
	case "active":
		l.sends(1)
	case "reserved":
		l.sends(3)
	}
}

func (l *life) runs() map[string]harness.Runs {
	l.t.Helper()
	return harness.Got(l.g.Journal.Tasks())(l.t)
}

func (l *life) started() (n int) {
	for id, r := range l.runs() {
		if (l.early[id] || l.late[id]) && r.Starts > 0 {
			n++
		}
	}
	return n
}

func (l *life) says(pattern string) {
	l.t.Helper()
	_ = harness.Got(l.WaitLog(l.wait(), pattern))(l.t)
}

func (l *life) send(sig syscall.Signal) {
	l.t.Helper()
	harness.Must(l.t, l.Signal(sig))
}

// goesOn: the worker takes and runs tasks.
func (l *life) goesOn() {
	l.t.Helper()
	id := harness.Got(l.g.client.Send(harness.T("tick")))(l.t)
	harness.Must(l.t, l.g.Journal.UntilEnded(l.wait(), id))
}

// ends waits for the end, compares the exit code, and looks for what was left behind.
func (l *life) ends(code int) {
	l.t.Helper()
	got, _, err := l.Wait(l.wait())
	harness.Must(l.t, err)
	if got != code {
		l.t.Errorf("exit code %d, want %d", got, code)
	}
	if alive := marked(l.marker); len(alive) > 0 {
		l.t.Errorf("left behind: %v", alive)
	}
}

func (l *life) endsAfterTERM() {
	l.t.Helper()
	l.send(syscall.SIGTERM)
	l.ends(0)
}

// lastWords compares the termination message.
func (l *life) lastWords(part string) {
	l.t.Helper()
	text, _ := os.ReadFile(l.last)
	if !strings.Contains(string(text), part) {
		l.t.Errorf("the termination message is %q, want %q", text, part)
	}
}
