package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// cmd is the command as it is going to be started.
func (l *loop) cmd() (*exec.Cmd, error) {
	path, err := Find(l.cfg.Args[0])
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{
		Path: path, Args: l.cfg.Args, Env: environment(os.Environ()),
		Stdin: l.deps.Stdin, Stdout: l.deps.Stdout, Stderr: l.deps.Stderr,
		SysProcAttr: attributes(l.deps.Stdin),
	}, nil
}

// Find is the program that a command's name means.
func Find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrDot) { // what PATH says, the user meant
		err = nil
	}
	return path, err
}

// environment has Python write at once, so that what a job said before it was
// killed is in the log. Who set the variable, even to nothing, keeps it.
func environment(env []string) []string {
	const name = "PYTHONUNBUFFERED"
	for _, pair := range env {
		if strings.HasPrefix(pair, name+"=") {
			return env
		}
	}
	return append(env, name+"=1")
}

// What a shell says of a command that it cannot run.
const (
	codeCannotExecute = 126
	codeNotFound      = 127
)

// ShellCode tells why a command could not be started.
func ShellCode(name string, err error) (int, string) {
	code := codeCannotExecute
	switch {
	case errors.Is(err, exec.ErrNotFound):
		code = codeNotFound
	case errors.Is(err, fs.ErrNotExist):
		// Of a script that is there, its interpreter is what is missing.
		if _, statErr := os.Stat(name); statErr != nil {
			code = codeNotFound
		}
	}
	cause := err
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		cause = errno
	} else if inner := errors.Unwrap(err); inner != nil {
		cause = inner
	}
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		hint = " (a script needs a first line such as #!/bin/sh)"
	case code == codeCannotExecute && errors.Is(err, fs.ErrNotExist):
		hint = " (of the interpreter in its first line, or of the loader that it needs)"
	}
	return code, fmt.Sprintf("cannot run %s: %v%s", name, cause, hint)
}
