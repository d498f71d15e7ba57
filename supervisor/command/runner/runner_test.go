package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"crisper/supervisor/command"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPythonWritesAtOnceUnlessSomebodySaidOtherwise(t *testing.T) {
	for _, c := range []struct{ env, want []string }{
		{[]string{"A=1"}, []string{"A=1", "PYTHONUNBUFFERED=1"}},
		{[]string{"PYTHONUNBUFFERED="}, []string{"PYTHONUNBUFFERED="}},
		{[]string{"PYTHONUNBUFFERED=x", "A=1"}, []string{"PYTHONUNBUFFERED=x", "A=1"}},
	} {
		if got := environment(c.env); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q", c.env, got)
		}
	}
}

func TestWhatCannotBeRunHasTheCodeThatAShellGives(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(there, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		err  error
		code int
		says string
	}{
		{"x", &exec.Error{Name: "x", Err: exec.ErrNotFound}, 127, "executable file not found"},
		{"/no/x", &fs.PathError{Op: "stat", Path: "/no/x", Err: syscall.ENOENT}, 127, "no such file"},
		{there, &fs.PathError{Op: "fork/exec", Path: there, Err: syscall.ENOENT}, 126, "interpreter"},
		{there, fmt.Errorf("cannot start: %w", &fs.PathError{Op: "fork/exec", Path: there, Err: syscall.EACCES}), 126, "permission denied"},
		{there, &fs.PathError{Op: "fork/exec", Path: there, Err: syscall.ENOEXEC}, 126, "#!/bin/sh"},
		{there, errors.New("odd"), 126, "odd"},
	} {
		code, why := ShellCode(c.name, c.err)
		if code != c.code || !strings.Contains(why, c.says) {
			t.Errorf("%v: got %d, %q", c.err, code, why)
		}
	}
}

func TestACommandRunsToItsEnd(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	last := filepath.Join(t.TempDir(), "last")
	for _, c := range []struct {
		script string
		exit   int
		why    string
	}{
		{"exit 0", 0, ""},
		{"exit 5", 5, ""},
		{"kill -KILL $$", 137, "sh ended with signal 9 (SIGKILL)"},
	} {
		_ = os.Remove(last)
		exit, why, err := Run(t.Context(), Config{Args: []string{"sh", "-c", c.script}, Command: command.Defaults("sh"), TerminationLog: last},
			Deps{Log: zaptest.NewLogger(t), Signals: make(chan os.Signal), Stdin: null, Stdout: null, Stderr: null})
		if err != nil || exit != c.exit || !strings.HasPrefix(why, c.why) || c.why == "" && why != "" {
			t.Errorf("%s: %d, %q, %v", c.script, exit, why, err)
		}
		text, _ := os.ReadFile(last)
		if (why != "") != strings.Contains(string(text), "crisper exec: sh ended") {
			t.Errorf("%s: the termination message is %q", c.script, text)
		}
	}
}
