package ops

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// maxSocketPath is the size of sun_path, without its final zero, on the tightest
// system that we support (macOS).
const maxSocketPath = 103

// ErrNoWorker means that no running worker was found.
var ErrNoWorker = errors.New("no running worker found")

// DefaultSocket is where the process with this pid listens:
// $XDG_RUNTIME_DIR/crisper/<pid>.sock, else /tmp/crisper-<uid>/<pid>.sock.
func DefaultSocket(getenv func(string) string, pid int) string {
	return filepath.Join(socketDirs(getenv)[0], strconv.Itoa(pid)+".sock")
}

// FindSockets returns the sockets of this user's processes that answer, the one that
// was started last first; with none the error is ErrNoWorker. It looks in both places,
// because a shell in a pod may lack the environment that the worker was started with.
func FindSockets(getenv func(string) string) ([]string, error) {
	dirs := socketDirs(getenv)
	paths := slices.DeleteFunc(newestFirst(dirs), func(path string) bool { return !answers(path) })
	if len(paths) == 0 {
		return nil, fmt.Errorf("%w in %s; name its socket with --socket", ErrNoWorker, strings.Join(dirs, " or "))
	}
	return paths, nil
}

// socketDirs are the places in order of preference. /tmp and not $TMPDIR,
// because that differs from shell to shell on macOS.
func socketDirs(getenv func(string) string) []string {
	dirs := []string{fmt.Sprintf("/tmp/crisper-%d", os.Geteuid())}
	if runtime := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(runtime) {
		dirs = append([]string{filepath.Join(runtime, "crisper")}, dirs...)
	}
	return dirs
}

// ownName says whether dir is one of the names that DefaultSocket gives.
func ownName(dir string) bool {
	base := filepath.Base(dir)
	return base == "crisper" || base == fmt.Sprintf("crisper-%d", os.Geteuid())
}

func newestFirst(dirs []string) []string {
	type found struct {
		path string
		when int64
	}
	var all []found
	for _, dir := range dirs {
		paths, _ := filepath.Glob(filepath.Join(dir, "*.sock")) // only a bad pattern fails
		for _, path := range paths {
			if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 && ownerUID(info) == os.Geteuid() {
				all = append(all, found{path, info.ModTime().UnixNano()})
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].when > all[j].when })
	paths := make([]string, len(all))
	for i, f := range all {
		paths[i] = f.path
	}
	return paths
}
