package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Cgroup is the memory cgroup that this process lives in.
type Cgroup struct {
	version int
	// levels are the directories of our cgroup and its ancestors, as far as they
	// can be seen; ours first. A limit of any of them can kill us.
	levels []string
	files  memoryFiles
}

// memoryFiles are the names that the two versions have for the same things.
type memoryFiles struct {
	usage, limit, stat, inactive, events string
}

var (
	// With hierarchy, memory.stat of v1 has our own pages under the plain names and
	// those of our cgroup and all below it under total_.
	memoryV1 = memoryFiles{
		usage: "memory.usage_in_bytes", limit: "memory.limit_in_bytes",
		stat: "memory.stat", inactive: "total_inactive_file", events: "memory.oom_control",
	}
	memoryV2 = memoryFiles{
		usage: "memory.current", limit: "memory.max",
		stat: "memory.stat", inactive: "inactive_file", events: "memory.events",
	}
)

// noLimitV1 is above every real limit and below what v1 says for none: the
// largest multiple of the page size, LONG_MAX rounded down.
const noLimitV1 = 1 << 60

// OpenCgroup finds the memory cgroup of this process. procRoot stands for /proc
// and sysRoot for /sys/fs/cgroup; empty: those. An error means that there is
// nothing to measure (no such controller, not Linux), and no limit that could be
// known.
func OpenCgroup(procRoot, sysRoot string) (*Cgroup, error) {
	h, err := readHierarchies(procRoot, sysRoot)
	if err != nil {
		return nil, fmt.Errorf("cannot find the memory cgroup: %w", err)
	}
	// A hybrid system has v1 controllers and a v2 tree without any: where the
	// memory controller is in v1, v1 it is.
	if levels := withFile(h.levels("memory"), memoryV1.usage); levels != nil {
		return &Cgroup{version: 1, levels: levels, files: memoryV1}, nil
	}
	if levels := withFile(h.levels(""), memoryV2.usage); levels != nil {
		return &Cgroup{version: 2, levels: levels, files: memoryV2}, nil
	}
	return nil, errors.New("cannot find the memory cgroup: no memory controller is mounted here")
}

// withFile drops the levels below the first that has the file: in v2 the
// controller may be enabled for an ancestor only, which then accounts for us.
func withFile(levels []string, name string) []string {
	for i, dir := range levels {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return levels[i:]
		}
	}
	return nil
}

// Version is that of the cgroup interface: 1 or 2.
func (c *Cgroup) Version() int { return c.version }

// Path is the directory of the cgroup, for people.
func (c *Cgroup) Path() string { return c.levels[0] }

// Usage measures. Limits are read each time, because a pod can be resized in
// place. Usage and limit are those of the level with the tightest limit, which
// may be an ancestor and then counts our siblings too, as the kernel does;
// OOMKills is always that of our own level.
func (c *Cgroup) Usage() (Memory, error) {
	buf := readBuffers.Get().(*buffer)
	defer readBuffers.Put(buf)
	level, limit := c.tightest(buf)
	used, err := c.number(level, c.files.usage, buf)
	if err != nil {
		return Memory{}, fmt.Errorf("cannot measure the cgroup: %w", err)
	}
	text, err := readInto(level+"/"+c.files.stat, buf[:])
	if err != nil {
		return Memory{}, fmt.Errorf("cannot measure the cgroup: %w", err)
	}
	inactive, _ := parseKey(text, c.files.inactive)
	m := Memory{Current: max(0, used-inactive), Limit: limit}
	m.WorkingSet = m.Current
	// Missing before Linux 4.13; then kills are not counted.
	if text, err := readInto(c.levels[0]+"/"+c.files.events, buf[:]); err == nil {
		m.OOMKills, _ = parseKey(text, "oom_kill")
	}
	return m, nil
}

// tightest is the level with the smallest limit, and that limit; our own level
// and 0 when there is none.
func (c *Cgroup) tightest(buf *buffer) (level string, limit int64) {
	level = c.levels[0]
	for _, dir := range c.levels {
		// v2 says "max", which is not a number; the root has no such file.
		n, err := c.number(dir, c.files.limit, buf)
		if err != nil || n >= noLimitV1 {
			continue
		}
		if limit == 0 || n < limit {
			level, limit = dir, n
		}
	}
	return level, limit
}

func (c *Cgroup) number(dir, name string, buf *buffer) (int64, error) {
	text, err := readInto(dir+"/"+name, buf[:])
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	n, ok := leadingInt(text)
	if !ok {
		return 0, fmt.Errorf("%s is %q", name, text)
	}
	return n, nil
}
