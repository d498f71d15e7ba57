package celery

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/agent"
	"crisper/supervisor/celery/held"
	"crisper/supervisor/celery/ring"
	"crisper/supervisor/command/tree"
	"crisper/supervisor/pool"
	"crisper/supervisor/process"
	"crisper/supervisor/reaper"
)

// silentReady is when a worker whose agent has not said a word counts as ready.
const silentReady = 10 * time.Second

// silentEnd is when a worker whose agent has hung up would be known to have died.
const silentEnd = 3 * time.Second

// child is one celery worker.
type child struct {
	id      pool.ChildID
	pid     int
	node    string
	begun   time.Time
	heard   bool // of its agent
	off     bool // the agent said that it cannot work
	ready   bool
	told    bool // TERM was sent
	counted int  // tasks told to the pool
	ended   time.Time
	counts  counts
	memory  int64
	size    int // processes
	link    *os.File
	ring    *ring.Ring
	glanced time.Time // into the ring
	hand    held.Hand
	keeper  *keeping // nil: nobody looks after what it holds
	oom     bool     // killed for memory
	dying   bool     // told to leave at once, by QUIT or KILL
	struck  bool     // killed, and not by us
	cut     bool     // because our time is over
	start   agent.Start
	gone    bool // its process is
	hungUp  time.Time
}

// start runs a worker for a slot.
func (l *loop) start(a pool.StartChild) {
	c := &child{id: a.Child, node: nodeName(l.cfg.Hostname, a), begun: time.Now()}
	theirs, err := c.connect()
	if err != nil {
		l.step(pool.ForkFailed{Child: a.Child, Reason: err.Error()})
		return
	}
	cmd := l.cmd(c.node, theirs)
	wait, err := l.reaper.Start(cmd)
	closeAll(theirs)
	if err != nil {
		c.disconnect()
		l.step(pool.ForkFailed{Child: a.Child, Reason: err.Error()})
		return
	}
	c.pid = cmd.Process.Pid
	l.children[c.id] = c
	if l.cfg.OOMScoreAdj != 0 {
		_ = process.SetOOMScoreAdj(c.pid, l.cfg.OOMScoreAdj) // it has ended, or /proc is read-only
	}
	heard := make(chan struct{})
	go func() { l.listen(c.id, c.link); close(heard) }()
	go func() {
		_ = wait() // a status other than 0 is an error to it
		// What it left behind must be gone before its seat is another's, and before what
		// it held is.
		killed := tree.KillGroup(cmd.Process.Pid)
		l.post(func() { c.gone = true })
		hangUp(c.link)
		<-heard
		l.post(func() { l.onExit(c, cmd, killed) })
	}()
	l.step(pool.ChildForked{Child: c.id, PID: c.pid})
}

// Command is the command line of a worker.
type Command struct {
	// Path is the program. Before and After are its arguments, from its name on, on either
	// side of the node name, which is each worker's own.
	Path          string
	Before, After []string
}

// module is the command line of a worker that nobody wrote: python -m celery … worker ….
func (cfg Config) module() (Command, error) {
	python, err := agent.FindPython(cfg.Python, os.Environ())
	return Command{Path: python, Before: slices.Concat([]string{python, "-m", "celery"}, cfg.Global, []string{"worker"}, cfg.Worker)}, err
}

func (l *loop) cmd(node string, extra []*os.File) *exec.Cmd {
	line := l.cfg.Command
	return &exec.Cmd{
		Path: line.Path, Args: slices.Concat(line.Before, []string{"--hostname=" + node}, line.After), Env: l.env,
		Stdin: l.deps.Stdin, Stdout: l.deps.Stdout, Stderr: l.deps.Stderr, ExtraFiles: extra,
		SysProcAttr: attributes(),
	}
}

// nodeName is unique: while one worker replaces another both are there, and Celery
// takes two of one name for a mistake.
func nodeName(given string, a pool.StartChild) string {
	name, host, found := strings.Cut(given, "@")
	if !found {
		name, host = "celery", given
	}
	if name == "" {
		name = "celery"
	}
	if host == "" {
		host = "%h"
	}
	return fmt.Sprintf("%s-%d.%d@%s", name, a.Slot, a.Child, host)
}

func (l *loop) onExit(c *child, cmd *exec.Cmd, killed int) {
	c.disconnect()
	delete(l.children, c.id)
	l.accepted += int64(c.counts.Accepted)
	st := reaper.StatusOf(cmd)
	text := st.String()
	if l.cgroup != nil && st.Signal == syscall.SIGKILL {
		if after, err := l.cgroup.Usage(); err == nil {
			text = process.Explain(st, l.recall.Before(), after)
			l.recall.Explained(time.Now(), after)
		}
	}
	if killed > 0 {
		l.log.Warn("processes of a worker that had ended were killed", zap.Int("processes", killed), zap.String("node", c.node))
	}
	if !c.ready && c.heard && st.Code != 0 {
		text += "; what it said is in the log above"
	}
	c.struck = st.Signal == syscall.SIGKILL && !c.dying
	l.watch.Left(uint64(c.id))
	l.diesAtWork(c)
	l.step(pool.ChildExited{Child: c.id, Status: text, OK: st.OK()})
	l.giveBack(c, text)
	l.goOn()
}

// diesAtWork tells the pool of a task that ran when its worker died: a worker that dies
// of its first task is no sign that none can be started. Of tasks that run the pool hears
// nothing before, since it knows one at a time; a solo worker does not even report them.
func (l *loop) diesAtWork(c *child) {
	if c.hand.Runs() && l.pool.MayTake(c.id) {
		c.counted++
		l.step(pool.TaskBegan{Child: c.id, Task: pool.TaskID(c.counted)})
	}
}

// stop is Celery's warm shutdown.
func (l *loop) stop(id pool.ChildID) {
	if c := l.children[id]; c != nil {
		l.leaves(c)
		l.signal(c.pid, syscall.SIGTERM)
	}
}

// kill: who was told TERM and is still here gets Celery's cold shutdown, and in the
// end everything in its group dies with it.
func (l *loop) kill(a pool.Kill) {
	c := l.children[a.Child]
	if c != nil {
		l.watch.Left(uint64(c.id))
		c.oom = c.oom || a.Reason == pool.ReasonOOM
		c.dying = c.told || a.Signal == "SIGKILL"
		c.cut = c.cut || a.Reason == pool.ReasonCutoff
		c.told = c.told || a.Signal == "SIGKILL" && !c.oom
	}
	switch {
	case c == nil:
	case a.Signal == "SIGKILL":
		go func() {
			below := tree.Descendants(c.pid)
			if l.reaper.Signal(c.pid, 0) == nil {
				_ = syscall.Kill(-c.pid, syscall.SIGKILL)
			}
			for _, pid := range below { // those that left the group
				tree.Signal(pid, syscall.SIGKILL)
			}
		}()
	case c.told:
		l.signal(c.pid, syscall.SIGQUIT)
	default:
		c.told = true
		l.signal(c.pid, syscall.SIGTERM)
	}
}

func (l *loop) signal(pid int, sig syscall.Signal) {
	if err := l.reaper.Signal(pid, sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		l.log.Warn("cannot signal a worker", zap.Stringer("signal", sig), zap.Error(err))
	}
}

// silent takes workers for ready whose agent says nothing.
func (l *loop) silent() {
	l.tellCut()
	for _, c := range l.children {
		if !c.ready && !c.told && (!c.heard || c.off) && time.Since(c.begun) > silentReady {
			l.log.Warn("nothing is heard of a worker's agent; it is taken for ready and its tasks are not counted", zap.String("node", c.node))
			l.becomesReady(c)
		}
	}
}

func (l *loop) becomesReady(c *child) {
	if !c.ready {
		if !l.started {
			go process.Trim() // the start is over
		}
		c.ready, l.started, c.ended = true, true, time.Now()
		l.step(pool.ChildReady{Child: c.id})
	}
}
