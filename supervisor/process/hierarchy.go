package process

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// hierarchies are the cgroup trees that this process is in, by controller; that
// of v2 has the name "".
type hierarchies struct {
	paths  map[string]string // where we are, as /proc/self/cgroup says it
	mounts map[string]mount
}

type mount struct {
	root  string // the part of the tree that is mounted
	point string // where
}

// sysCgroup is where every distribution mounts its cgroups, or a directory of them.
const sysCgroup = "/sys/fs/cgroup"

// readHierarchies asks mountinfo where the trees are; a mount below sysCgroup is
// looked for below sysRoot.
func readHierarchies(procRoot, sysRoot string) (hierarchies, error) {
	if procRoot == "" {
		procRoot = "/proc"
	}
	if sysRoot == "" {
		sysRoot = sysCgroup
	}
	cgroup, err := os.ReadFile(filepath.Join(procRoot, "self/cgroup"))
	if err != nil {
		return hierarchies{}, err
	}
	mountinfo, err := os.ReadFile(filepath.Join(procRoot, "self/mountinfo"))
	if err != nil {
		return hierarchies{}, err
	}
	h := hierarchies{paths: parseCgroups(string(cgroup)), mounts: parseMounts(string(mountinfo))}
	for name, m := range h.mounts {
		if rest, ok := strings.CutPrefix(m.point+"/", sysCgroup+"/"); ok {
			h.mounts[name] = mount{m.root, filepath.Join(sysRoot, rest)}
		}
	}
	return h, nil
}

// levels are the existing directories from our cgroup of this controller up to
// the mount point, ours first; nil when it is not mounted.
func (h hierarchies) levels(controller string) []string {
	where, ok := h.paths[controller]
	m, mounted := h.mounts[controller]
	if !ok || !mounted {
		return nil
	}
	var levels []string
	for _, dir := range ancestors(below(where, m.root)) {
		full := filepath.Join(m.point, dir)
		// In a container the path is often the host's, and nothing of it exists
		// below the mount, which is our cgroup itself.
		if info, err := os.Stat(full); err == nil && info.IsDir() {
			levels = append(levels, full)
		}
	}
	return levels
}

// below is the path of a cgroup under a mount that shows the tree from root on.
// A cgroup outside of our namespace ("/../x") is taken for the root: what is
// called x below the mount is another.
func below(where, root string) string {
	if strings.HasPrefix(where+"/", "/../") {
		return "/"
	}
	where = path.Clean(where)
	if root == "/" {
		return where
	}
	if rest, ok := strings.CutPrefix(where+"/", strings.TrimSuffix(root, "/")+"/"); ok {
		return path.Clean("/" + rest)
	}
	return where
}

// ancestors of "/a/b" are "/a/b", "/a" and "/".
func ancestors(dir string) []string {
	dirs := []string{dir}
	for dir != "/" {
		dir = path.Dir(dir)
		dirs = append(dirs, dir)
	}
	return dirs
}

// parseCgroups reads /proc/self/cgroup: "4:memory:/a/b", "2:cpu,cpuacct:/a",
// "0::/a" for v2.
func parseCgroups(text string) map[string]string {
	paths := make(map[string]string)
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 || !strings.HasPrefix(fields[2], "/") {
			continue
		}
		if fields[0] == "0" {
			paths[""] = fields[2]
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			if controller != "" {
				paths[controller] = fields[2]
			}
		}
	}
	return paths
}

// parseMounts reads the cgroup mounts of /proc/self/mountinfo:
//
//	35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
//
// Of several mounts of one tree (bind mounts) the first one counts.
func parseMounts(text string) map[string]mount {
	mounts := make(map[string]mount)
	add := func(name string, m mount) {
		if _, ok := mounts[name]; !ok {
			mounts[name] = m
		}
	}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 6 || len(fields) < dash+4 {
			continue
		}
		m := mount{root: unescape(fields[3]), point: unescape(fields[4])}
		switch fields[dash+1] {
		case "cgroup2":
			add("", m)
		case "cgroup":
			for option := range strings.SplitSeq(fields[dash+3], ",") {
				add(option, m)
			}
		}
	}
	return mounts
}

// unescape undoes mountinfo's octal escapes of blanks and backslashes ("\040").
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// readText is the content of a small file, or "".
func readText(dir, name string) string {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
