package agent

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// FindPython returns the interpreter of the app: flag if given, else that of the
// active virtual environment, else that of the `celery` script on PATH (it knows
// where Celery is installed), else python3.
func FindPython(flag string, env []string) (string, error) {
	path := lookup(env, "PATH")
	if flag != "" {
		return named(flag, path)
	}
	if venv := lookup(env, "VIRTUAL_ENV"); venv != "" {
		if python := filepath.Join(venv, "bin", "python"); runnable(python) {
			return python, nil
		}
	}
	if script := find("celery", path); script != "" {
		if python := shebang(script, path); python != "" {
			return python, nil
		}
	}
	for _, name := range []string{"python3", "python"} {
		if python := find(name, path); python != "" {
			return python, nil
		}
	}
	return "", errors.New("cannot find Python: there is no virtual environment, no celery and no python3 on PATH; name it with --python")
}

func named(flag, path string) (string, error) {
	if strings.ContainsRune(flag, filepath.Separator) {
		if !runnable(flag) {
			return "", fmt.Errorf("cannot use --python %s: it is not an executable file", flag)
		}
		return filepath.Abs(flag)
	}
	if python := find(flag, path); python != "" {
		return python, nil
	}
	return "", fmt.Errorf("cannot use --python %s: it is not on PATH", flag)
}

// shebang is the interpreter of a script, "" when it has none that can be run.
// Installers write it in two forms where the path is long or has spaces: the
// second has sh execute the interpreter from the second line.
func shebang(script, path string) string {
	file, err := os.Open(script)
	if err != nil {
		return ""
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "#!") {
		return ""
	}
	words := strings.Fields(strings.TrimPrefix(lines.Text(), "#!"))
	if len(words) > 0 && filepath.Base(words[0]) == "sh" && lines.Scan() {
		words = execLine(lines.Text())
	}
	for len(words) > 0 && (filepath.Base(words[0]) == "env" || strings.HasPrefix(words[0], "-")) {
		words = words[1:]
	}
	if len(words) == 0 || !strings.Contains(filepath.Base(words[0]), "python") {
		return ""
	}
	if filepath.IsAbs(words[0]) {
		if runnable(words[0]) {
			return words[0]
		}
		return ""
	}
	return find(words[0], path)
}

// execLine takes the interpreter from `”'exec' "/path/to python" "$0" "$@"`.
func execLine(line string) []string {
	rest, ok := strings.CutPrefix(line, "'''exec' ")
	if !ok {
		return nil
	}
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		interpreter, _, _ := strings.Cut(quoted, `"`)
		return []string{interpreter}
	}
	return strings.Fields(rest)
}

// find looks a command up on the given PATH, which need not be ours.
func find(name, path string) string {
	for _, dir := range filepath.SplitList(path) {
		if candidate := filepath.Join(dir, name); filepath.IsAbs(candidate) && runnable(candidate) {
			return candidate
		}
	}
	return ""
}

func runnable(path string) bool {
	_, err := exec.LookPath(path)
	return err == nil
}

// lookup is the last value of a variable, as exec has it.
func lookup(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(env[i], name+"="); ok {
			return value
		}
	}
	return ""
}
