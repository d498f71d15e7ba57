package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"crisper/supervisor/agent"
	"crisper/supervisor/wire"
)

// protocol must agree with PROTOCOL in beat_timekeeper.py.
const protocol = 1

// mainFile is where Python enters, below the unpacked agent.
var mainFile = filepath.Join("crisper_agent", "beat_main.py")

// lastWords is how long a dead timekeeper's descriptors may stay open: a process
// that the app left behind may hold them, and we do not wait for that.
const lastWords = time.Second

// Start loads the app. ctx bounds the loading only; afterwards Close ends it.
func Start(ctx context.Context, o Options) (*App, error) {
	env := environment(o.Env)
	python, err := agent.FindPython(o.Python, env)
	if err != nil {
		return nil, err
	}
	options, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the options of the timekeeper: %w", err)
	}
	dir, cleanup, err := agent.Unpack("")
	if err != nil {
		return nil, err
	}
	a, err := launch(o, python, dir, env)
	if err != nil {
		cleanup()
		return nil, err
	}
	a.cleanup = cleanup
	go a.run()
	// One that dies at once is told by its exit, not by this.
	_ = a.control.Send(wire.AppendFrame(nil, wire.Options, 0, options))
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// launch starts the process.
func launch(o Options, python, dir string, env []string) (*App, error) {
	control, theirs, err := wire.ControlPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(python, filepath.Join(dir, mainFile), strconv.Itoa(protocol))
	cmd.Env = env
	cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	cmd.Stdout, cmd.Stderr = o.Stdout, o.Stderr
	cmd.WaitDelay = lastWords
	// A group of its own: a ^C or a TERM to the whole group is for us to understand.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	a := &App{
		control: control, cmd: cmd, calls: map[uint64]chan<- answer{},
		opened: make(chan error, 1), // the first word is said whether or not somebody waits for it
		ended:  make(chan struct{}),
	}
	started := make(chan error)
	go a.hold(o.Starter, started)
	if err := <-started; err != nil {
		control.Close()
		return nil, fmt.Errorf("cannot start %s: %w", python, err)
	}
	return a, nil
}

// hold starts the process, waits for its end and stays on one thread meanwhile: the
// kernel tells the process of a parent's death when the thread that forked it ends.
func (a *App) hold(starter agent.Starter, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	wait, err := a.start(starter)
	started <- err
	if err != nil {
		return
	}
	_ = wait() // how it ended is told by what it said last
	time.AfterFunc(lastWords, func() { a.control.Close() })
	close(a.ended)
}

func (a *App) start(starter agent.Starter) (wait func() error, err error) {
	if starter != nil {
		return starter.Start(a.cmd)
	}
	return a.cmd.Wait, a.cmd.Start()
}

// run reads until the end, and sees to it that the process ends too.
func (a *App) run() {
	err := a.read()
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
		err = errors.New("it closed its socket")
	}
	a.finish(err)
	a.control.Close()
	a.cleanup()
	if !a.reading.opened {
		a.opened <- a.unopened(err)
	}
	a.end(err)
}

// finish waits for the end of the process, and sees to it.
func (a *App) finish(err error) {
	if failed := (*LoadError)(nil); !errors.As(err, &failed) {
		a.kill() // a broken frame, or an end that is near anyway
	}
	timer := time.AfterFunc(graceful, a.kill)
	defer timer.Stop()
	<-a.ended
}

// unopened says why the app was not loaded.
func (a *App) unopened(err error) error {
	if failed := (*LoadError)(nil); errors.As(err, &failed) {
		return failed
	}
	return fmt.Errorf("cannot load the app: the timekeeper ended (%s): %w", a.cmd.ProcessState, err)
}

// open waits for the first word.
func (a *App) open(ctx context.Context) error {
	select {
	case err := <-a.opened:
		return err
	case <-ctx.Done():
		a.kill()
		<-a.ended
		return fmt.Errorf("cannot load the app in time: %w", ctx.Err())
	}
}
