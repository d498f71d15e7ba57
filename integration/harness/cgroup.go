package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNoCgroup means that this machine lets us make no memory cgroup.
var ErrNoCgroup = errors.New("no memory cgroup can be made here")

// Cgroup is a real memory cgroup, version 1 or 2.
type Cgroup struct {
	Dir     string
	Version int
}

// MakeCgroup makes a memory cgroup with a limit in bytes below our own.
func (b *Bed) MakeCgroup(limit int64) (*Cgroup, error) {
	name := filepath.Base(b.Dir) + "-" + strconv.Itoa(os.Getpid())
	for _, try := range []struct {
		version          int
		root, limit, oom string
	}{
		{1, "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
		{2, "/sys/fs/cgroup", "memory.max", "memory.swap.max"},
	} {
		if try.version == 1 && !exists(filepath.Join(try.root, "memory.limit_in_bytes")) {
			continue
		}
		dir := filepath.Join(try.root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		b.OnClose(func() { os.Remove(dir) })
		if err := os.WriteFile(filepath.Join(dir, try.limit), []byte(strconv.FormatInt(limit, 10)), 0o644); err != nil {
			continue
		}
		swap := "0"
		if try.version == 1 {
			swap = strconv.FormatInt(limit, 10) // memory and swap together
		}
		_ = os.WriteFile(filepath.Join(dir, try.oom), []byte(swap), 0o644) // absent where swap is not accounted
		return &Cgroup{Dir: dir, Version: try.version}, nil
	}
	return nil, ErrNoCgroup
}

// wrap makes a command join the group before it becomes itself.
func (c *Cgroup) wrap(args []string) []string {
	script := `echo $$ > "$0" && exec "$@"`
	return append([]string{"/bin/sh", "-c", script, filepath.Join(c.Dir, "cgroup.procs")}, args...)
}

// OOMKills is how many processes the kernel has killed here for memory.
func (c *Cgroup) OOMKills() (int, error) {
	file := map[int]string{1: "memory.oom_control", 2: "memory.events"}[c.Version]
	text, err := os.ReadFile(filepath.Join(c.Dir, file))
	if err != nil {
		return 0, fmt.Errorf("cannot read the cgroup's events: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == "oom_kill" {
			return strconv.Atoi(value)
		}
	}
	return 0, errors.New("the cgroup does not count its kills")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
