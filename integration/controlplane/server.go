package controlplane

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// server is one program that is started, killed and started again. Its methods are
// for one goroutine at a time; a server that never started has ended.
type server struct {
	path, log string
	args      []string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has been waited for
}

// start runs the program, its output added to the log.
func (s *server) start() error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open the log of %s: %w", s.name(), err)
	}
	defer log.Close()
	cmd := exec.Command(s.path, s.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	started, done := make(chan error, 1), make(chan struct{}) // 1: the goroutine does not wait for us
	go func() {
		defer close(done)
		// The parent whose death is signalled is the thread that forked, so it must
		// live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("cannot start %s: %w", s.name(), err)
	}
	s.cmd, s.done = cmd, done
	return nil
}

func (s *server) name() string { return filepath.Base(s.path) }

// over: it has ended, or was never started.
func (s *server) over() bool {
	if s == nil || s.cmd == nil {
		return true
	}
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *server) signal(sig syscall.Signal) error {
	if s.over() {
		return fmt.Errorf("cannot signal %s: it does not run", s.name())
	}
	return s.cmd.Process.Signal(sig)
}

// end is kill -9, and waits. Safe to repeat.
func (s *server) end() {
	if s.over() {
		return
	}
	s.cmd.Process.Kill() // it may just have ended by itself
	<-s.done
}

// said: the log has the words.
func (s *server) said(words string) bool {
	text, _ := os.ReadFile(s.log)
	return strings.Contains(string(text), words)
}

// tail is the end of the log.
func (s *server) tail() string {
	if s == nil {
		return ""
	}
	const lines = 15
	text, _ := os.ReadFile(s.log)
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return "=== " + s.log + "\n" + strings.Join(all[max(0, len(all)-lines):], "\n")
}
