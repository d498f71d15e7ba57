package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is something started in a bed, with its output in a file.
type Process struct {
	Name    string
	Log     string // path
	Started time.Time

	cmd  *exec.Cmd
	done chan struct{}
	once sync.Once
	// sent is the last signal that tells to leave.
	sent struct {
		sync.Mutex
		sig syscall.Signal
	}
	// Written before done is closed, read after.
	state  *os.ProcessState
	exited time.Time
}

// Command describes a process.
type Command struct {
	Name string
	Args []string
	Env  []string // added to the environment
	Dir  string
	// Cgroup is a cgroup v1 directory (or several) that the process is put into
	// before it runs.
	Cgroup *Cgroup
}

// Start runs a command in a process group of its own, output to a log file.
func (b *Bed) Start(c Command) (*Process, error) {
	log, err := os.Create(b.Path(c.Name + ".log"))
	if err != nil {
		return nil, fmt.Errorf("cannot create the log of %s: %w", c.Name, err)
	}
	defer log.Close()
	b.addLog(log.Name())
	args := c.Args
	if c.Cgroup != nil {
		args = c.Cgroup.wrap(args)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = orElse(c.Dir, b.Dir)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &Process{Name: c.Name, Log: log.Name(), Started: time.Now(), cmd: cmd, done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", c.Name, err)
	}
	go p.wait()
	b.OnClose(p.End)
	return p, nil
}

func (p *Process) wait() {
	p.cmd.Wait() // the status is in ProcessState
	p.exited = time.Now()
	p.state = p.cmd.ProcessState
	close(p.done)
}

// PID of the process itself.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// apart is the least time between two signals of a kind that count as two: a worker
// takes what comes twice within 0.1 s for one that was delivered twice.
const apart = 150 * time.Millisecond

// Signal sends a signal to the process alone. The same one again means it again, so it
// is sent so long after now, when the caller has seen what the first one did: on a busy
// machine that may have been heard long after it was sent.
func (p *Process) Signal(s syscall.Signal) error {
	if s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGQUIT {
		p.sent.Lock()
		defer p.sent.Unlock()
		if s == p.sent.sig {
			time.Sleep(apart)
		}
		p.sent.sig = s
	}
	return p.cmd.Process.Signal(s)
}

// Kill is kill -9 of the process alone: its children must notice by themselves.
func (p *Process) Kill() error { return p.Signal(syscall.SIGKILL) }

// KillGroup is kill -9 of the whole process group: the machine is gone.
func (p *Process) KillGroup() error { return syscall.Kill(-p.PID(), syscall.SIGKILL) }

// Done is closed when the process has been waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait returns the exit code (128+signal for a signal) and when it left.
func (p *Process) Wait(ctx context.Context) (code int, at time.Time, err error) {
	select {
	case <-p.done:
		return exitCode(p.state), p.exited, nil
	case <-ctx.Done():
		return 0, time.Time{}, fmt.Errorf("%s has not exited: %w", p.Name, ctx.Err())
	}
}

// End kills the process and its group, and waits for it. Safe to repeat.
func (p *Process) End() {
	p.once.Do(func() {
		p.KillGroup()
		<-p.done
	})
}

// LogText is everything printed so far.
func (p *Process) LogText() string {
	text, _ := os.ReadFile(p.Log)
	return string(text)
}

// WaitLog waits for a line that matches, and fails at once when the process ends
// without one.
func (p *Process) WaitLog(ctx context.Context, pattern string) (string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return "", fmt.Errorf("cannot compile the pattern %q: %w", pattern, err)
	}
	var line string
	var over bool
	err = Until(ctx, fmt.Sprintf("%q in the log of %s", pattern, p.Name), func() bool {
		select {
		case <-p.done:
			over = true // one last look at the whole log
		default:
		}
		line = match(re, p.LogText())
		return line != "" || over
	})
	if err == nil && line == "" {
		return "", fmt.Errorf("%s exited with %d before %q was logged:\n%s", p.Name, exitCode(p.state), pattern, tail(p.LogText(), 20))
	}
	return line, err
}

func match(re *regexp.Regexp, text string) string {
	at := re.FindStringIndex(text)
	if at == nil {
		return ""
	}
	start := strings.LastIndexByte(text[:at[0]], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	return line
}

func exitCode(s *os.ProcessState) int {
	status, ok := s.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return s.ExitCode()
}

// Run runs a command to its end and returns its output and exit code.
func (b *Bed) Run(ctx context.Context, c Command) (output string, code int, err error) {
	p, err := b.Start(c)
	if err != nil {
		return "", 0, err
	}
	code, _, err = p.Wait(ctx)
	if err != nil {
		p.End()
		return p.LogText(), code, errors.Join(err, fmt.Errorf("%s", tail(p.LogText(), 20)))
	}
	return p.LogText(), code, nil
}
