package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"crisper/supervisor/wire"
)

// protocol must agree with wire.PROTOCOL in Python.
const protocol = 1

// Starter starts a process and leaves its exit status to wait, which must be
// called. The reaper is one: it must know which processes are waited for.
type Starter interface {
	Start(cmd *exec.Cmd) (wait func() error, err error)
}

// plainStarter is os/exec by itself.
type plainStarter struct{}

func (plainStarter) Start(cmd *exec.Cmd) (func() error, error) {
	return cmd.Wait, cmd.Start()
}

// LaunchConfig says what to launch.
type LaunchConfig struct {
	Python         string // from FindPython
	Dir            string // from Unpack
	Options        Options
	Env            []string  // nil: ours
	Stdout, Stderr io.Writer // an *os.File is handed over as it is
	Generation     int
	Starter        Starter // nil: os/exec by itself
}

// ZygoteEvent is something that a zygote reports.
type ZygoteEvent interface{ zygoteEvent() }

// The events. Loaded or Failed comes first, Exited last; then the channel is closed.
type (
	// LoadedEvent: the app is loaded and children can be forked.
	LoadedEvent struct{ Info Info }
	// FailedEvent: the app did not load. Err is one line; the traceback has
	// been printed to stderr already. Usage: what was typed is wrong, not the app.
	FailedEvent struct {
		Err       error
		Traceback string
		Usage     bool
	}
	// ForkedEvent: the child exists.
	ForkedEvent struct {
		Child uint64
		PID   int
	}
	// ForkFailedEvent: it does not.
	ForkFailedEvent struct {
		Child uint64
		Err   error
	}
	// NoticeEvent is for the log.
	NoticeEvent struct{ Level, Message string }
	// ExitedEvent: the process is gone. Status is for people.
	ExitedEvent struct{ Status string }
)

// NoSuchOption is an error about what was typed: neither Celery's worker nor the app has
// the option. Known are those that it has.
type NoSuchOption struct {
	Name  string   `json:"name"`
	Known []string `json:"known"`
}

func (e NoSuchOption) Error() string { return "No such option '" + e.Name + "'." }

func (LoadedEvent) zygoteEvent()     {}
func (FailedEvent) zygoteEvent()     {}
func (ForkedEvent) zygoteEvent()     {}
func (ForkFailedEvent) zygoteEvent() {}
func (NoticeEvent) zygoteEvent()     {}
func (ExitedEvent) zygoteEvent()     {}

// Zygote is one running zygote. Its methods may be called from any goroutine.
type Zygote struct {
	generation int
	pid        int
	control    *wire.Control
	events     chan ZygoteEvent
	stop       func() bool // ends the watch over the context
}

// eventBuffer lets the answers to a burst of forks wait while the reader is busy;
// a full channel only makes the zygote wait.
const eventBuffer = 64

// Launch starts a zygote. Events must be read until they end. When ctx ends the
// zygote is told to leave.
func Launch(ctx context.Context, cfg LaunchConfig) (*Zygote, error) {
	options, err := json.Marshal(cfg.Options)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the options of the zygote: %w", err)
	}
	control, theirs, err := wire.ControlPair()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(cfg.Python, filepath.Join(cfg.Dir, mainFile), strconv.Itoa(protocol))
	cmd.Env = cfg.Env
	cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	// A group of its own: a TERM to the whole group (dumb-init sends one, `timeout`
	// too) must reach the supervisor only, which drains; the children would unwind
	// their tasks at once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	wait, err := startWith(cmd, cfg.Stdout, cfg.Stderr, cfg.Starter)
	theirs.Close()
	if err != nil {
		control.Close()
		return nil, fmt.Errorf("cannot start %s: %w", cfg.Python, err)
	}
	z := &Zygote{
		generation: cfg.Generation, pid: cmd.Process.Pid, control: control,
		events: make(chan ZygoteEvent, eventBuffer),
	}
	z.stop = context.AfterFunc(ctx, func() { z.Quit() })
	// A zygote that dies at once is told by its exit, not by this.
	_ = control.Send(wire.AppendFrame(nil, wire.Options, 0, options))
	go z.run(cmd, wait)
	return z, nil
}

func startWith(cmd *exec.Cmd, stdout, stderr io.Writer, starter Starter) (wait func() error, err error) {
	var closers [2]func()
	if cmd.Stdout, closers[0], err = output(stdout); err != nil {
		return nil, err
	}
	defer closers[0]()
	if cmd.Stderr, closers[1], err = output(stderr); err != nil {
		return nil, err
	}
	defer closers[1]()
	if starter == nil {
		return plainStarter{}.Start(cmd)
	}
	return starter.Start(cmd)
}

// output is w as a file that children inherit. os/exec would make a pipe too, but
// its Wait would wait for everybody who holds it, and executors outlive the zygote.
func output(w io.Writer) (file io.Writer, closeFile func(), err error) {
	if f, ok := w.(*os.File); ok || w == nil {
		if f == nil {
			return nil, func() {}, nil
		}
		return f, func() {}, nil
	}
	r, f, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a pipe for the output of the app: %w", err)
	}
	go func() {
		defer r.Close()
		_, _ = io.Copy(w, r) // ends when the last process that holds it has gone
	}()
	return f, func() { f.Close() }, nil
}

// PID is the process id of the zygote.
func (z *Zygote) PID() int { return z.pid }

// Generation is what LaunchConfig said.
func (z *Zygote) Generation() int { return z.generation }

// Events tells what happens, in order.
func (z *Zygote) Events() <-chan ZygoteEvent { return z.events }

// Fork asks for a child. The files stay the caller's, who may close them at
// once; the answer is an event.
func (z *Zygote) Fork(req ForkRequest, sock, page *os.File) error {
	payload, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("cannot encode a fork request: %w", err)
	}
	return z.control.SendWithFiles(wire.AppendFrame(nil, wire.Fork, 0, payload), sock, page)
}

// Quit asks the zygote to leave; its children live on.
func (z *Zygote) Quit() error {
	return z.control.Send(wire.AppendFrame(nil, wire.Exit, 0, nil))
}

// lastWords is how long a dead zygote's socket may stay open: a process that the
// app left behind when it was imported may hold it, and we do not wait for that.
const lastWords = time.Second

// run reads until the zygote has said its last word, and then waits for its end.
func (z *Zygote) run(cmd *exec.Cmd, wait func() error) {
	defer close(z.events)
	exited := make(chan error)
	go func() {
		err := wait()
		hangUp := time.AfterFunc(lastWords, func() { z.control.Close() })
		defer hangUp.Stop()
		exited <- err
	}()
	z.read()
	z.control.Close() // after a broken frame this ends the zygote
	err := <-exited
	z.stop()
	z.events <- ExitedEvent{Status: exitStatus(cmd, err)}
}

func exitStatus(cmd *exec.Cmd, err error) string {
	if cmd.ProcessState != nil {
		return cmd.ProcessState.String()
	}
	return fmt.Sprint(err)
}

func (z *Zygote) read() {
	for {
		frame, err := z.control.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				z.events <- NoticeEvent{Level: "warning", Message: fmt.Sprint("the zygote cannot be understood: ", err)}
			}
			return
		}
		event, err := parseEvent(frame)
		if err != nil {
			z.events <- NoticeEvent{Level: "warning", Message: err.Error()}
			return
		}
		z.events <- event
	}
}

// parseEvent turns a frame of the zygote into an event.
func parseEvent(frame wire.Frame) (ZygoteEvent, error) {
	switch frame.Kind {
	case wire.Loaded:
		var e LoadedEvent
		event, err := decoded(frame, &e.Info, func() ZygoteEvent { return e })
		if err != nil {
			return FailedEvent{Err: fmt.Errorf("what it says of itself cannot be read: %w", err)}, nil
		}
		return event, nil
	case wire.Forked:
		var e struct {
			Child uint64 `json:"child"`
			PID   int    `json:"pid"`
		}
		return decoded(frame, &e, func() ZygoteEvent { return ForkedEvent{Child: e.Child, PID: e.PID} })
	case wire.Failed:
		var e struct {
			Child     uint64 `json:"child"`
			Error     string `json:"error"`
			Traceback string `json:"traceback"`
			Usage     bool   `json:"usage"`
			// Option is the one that there is not; nil: it is about something else.
			Option *NoSuchOption `json:"option"`
		}
		return decoded(frame, &e, func() ZygoteEvent {
			if e.Option != nil {
				return FailedEvent{Err: *e.Option, Traceback: e.Traceback, Usage: e.Usage}
			}
			if e.Child == 0 {
				return FailedEvent{Err: errors.New(e.Error), Traceback: e.Traceback, Usage: e.Usage}
			}
			return ForkFailedEvent{Child: e.Child, Err: errors.New(e.Error)}
		})
	case wire.Notice:
		var e struct{ Level, Message string }
		return decoded(frame, &e, func() ZygoteEvent { return NoticeEvent(e) })
	}
	return nil, fmt.Errorf("cannot understand a frame of kind %q from the zygote", frame.Kind)
}

func decoded(frame wire.Frame, into any, event func() ZygoteEvent) (ZygoteEvent, error) {
	if err := json.Unmarshal(frame.Payload, into); err != nil {
		return nil, fmt.Errorf("cannot decode a frame of kind %q from the zygote: %w", frame.Kind, err)
	}
	return event(), nil
}
