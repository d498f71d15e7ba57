package celery

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed py/sitecustomize.py all:py/crisper_inject
var files embed.FS

// unpack writes the agent's files where nobody else can have prepared anything:
// what lies there is going to be executed.
func unpack() (dir string, cleanup func(), err error) {
	var problems []error
	for _, parent := range []string{os.TempDir(), "/tmp", "/dev/shm", "."} {
		dir, err := unpackInto(parent)
		if err == nil {
			return dir, func() { os.RemoveAll(dir) }, nil
		}
		problems = append(problems, err)
	}
	return "", nil, fmt.Errorf("cannot unpack the agent (mount a writable /tmp): %w", errors.Join(problems...))
}

func unpackInto(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, "crisper-inject-")
	if err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	err = fs.WalkDir(files, "py", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(name, "py")))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if filepath.Ext(name) != ".py" {
			return nil
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
	if err != nil {
		os.RemoveAll(dir)
	}
	return dir, err
}

// unbuffered is an environment in which what Python prints is seen at once.
func unbuffered(env []string) []string {
	for _, pair := range env {
		if name, _, _ := strings.Cut(pair, "="); name == "PYTHONUNBUFFERED" {
			return env
		}
	}
	return append(slices.Clip(env), "PYTHONUNBUFFERED=1")
}

// injected is the environment of a worker: the agent's directory comes first, so
// that its sitecustomize is the one that is found, and it lets the next have its
// turn. 3 is the first of exec.Cmd's ExtraFiles: the socket, and behind it the ring.
func injected(env []string, dir string) []string {
	var out []string
	path := dir
	for _, pair := range unbuffered(env) {
		if name, value, _ := strings.Cut(pair, "="); name == "PYTHONPATH" {
			if value != "" {
				path = dir + string(os.PathListSeparator) + value
			}
			continue
		}
		out = append(out, pair)
	}
	return append(out, "PYTHONPATH="+path, "CRISPER_INJECT_FDS=3,4")
}
