package agent

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// all: because a plain go:embed leaves out __init__.py. The test compares the
// list with what is wanted, since __pycache__ would come along as well.
//
//go:embed py/crisper_agent_main.py all:py/crisper_agent
var files embed.FS

const (
	filesRoot = "py"
	mainFile  = "crisper_agent_main.py"
)

// library is the name of the folder that the files lie in. Sentry and others tell the
// app's code from libraries by it, and our lines in a traceback are not the app's.
const library = "site-packages"

// Unpack writes the Python files into a new private directory under dir; an
// empty dir tries $TMPDIR, /tmp, /dev/shm and the current directory, for pods
// with a read-only root. cleanup removes them; call it when no zygote will be
// launched any more (children have imported all that they need).
func Unpack(dir string) (path string, cleanup func(), err error) {
	parents := []string{dir}
	if dir == "" {
		parents = []string{os.TempDir(), "/tmp", "/dev/shm", "."}
	}
	var problems []error
	for _, parent := range parents {
		private, err := unpackInto(parent)
		if err == nil {
			return filepath.Join(private, library), func() { os.RemoveAll(private) }, nil
		}
		problems = append(problems, err)
	}
	return "", nil, fmt.Errorf("cannot unpack the Python agent (mount a writable /tmp): %w", errors.Join(problems...))
}

// unpackInto makes a directory that nobody else can have prepared or can enter:
// what lies in it is going to be executed.
func unpackInto(parent string) (string, error) {
	path, err := os.MkdirTemp(parent, "crisper-"+Hash()[:12]+"-")
	if err != nil {
		return "", err
	}
	if path, err = filepath.Abs(path); err == nil {
		err = writeFiles(filepath.Join(path, library))
	}
	if err != nil {
		os.RemoveAll(path)
		return "", err
	}
	return path, nil
}

func writeFiles(path string) error {
	return eachFile(func(name string, content []byte) error {
		target := filepath.Join(path, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o600)
	})
}

// Hash identifies the agent's files: the same in two builds that carry the same.
func Hash() string {
	sum := sha256.New()
	// The embedded files cannot fail to be read.
	_ = eachFile(func(name string, content []byte) error {
		fmt.Fprintf(sum, "%s %d\n", name, len(content))
		sum.Write(content)
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil))
}

// eachFile visits the Python files in order, by name below py/.
func eachFile(visit func(name string, content []byte) error) error {
	root, err := fs.Sub(files, filesRoot)
	if err != nil {
		return err
	}
	return fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".py" {
			return err
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		return visit(name, content)
	})
}
