package process

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestTheMountsRootIsTakenOffThePath(t *testing.T) {
	tests := []struct{ where, root, want string }{
		{"/a/b", "/", "/a/b"},
		{"/a/b", "/a", "/b"},
		{"/a/b", "/a/b", "/"},
		{"/ab", "/a", "/ab"}, // not below it: looked for as it is, and then above
		{"/", "/", "/"},
		{"/", "/a", "/"},
		{"/../x", "/", "/"},
		{"/..", "/../..", "/"},
		{"/..x", "/", "/..x"},
	}
	for _, tt := range tests {
		if got := below(tt.where, tt.root); got != tt.want {
			t.Errorf("%s under %s: %s, want %s", tt.where, tt.root, got, tt.want)
		}
	}
}

// The files are the kernel's, but containers mount stranger things over them.
func FuzzHierarchies(f *testing.F) {
	f.Add("4:memory:/a/b\n0::/\n", `24 30 0:22 /a /sys/fs/cgroup/x\040y rw - cgroup x rw,memory`)
	f.Add("0::/../x\n", "24 30 0:22 ../.. . rw - cgroup2 x rw\n")
	f.Fuzz(func(t *testing.T, cgroups, mounts string) {
		h := hierarchies{paths: parseCgroups(cgroups), mounts: parseMounts(mounts)}
		for name, where := range h.paths {
			dir := below(where, h.mounts[name].root)
			if !strings.HasPrefix(dir, "/") || !filepath.IsLocal("."+dir) {
				t.Errorf("%q leads to %q, out of the mount", where, dir)
			}
			if all := ancestors(dir); all[len(all)-1] != "/" {
				t.Errorf("the ancestors of %q are %q", dir, all)
			}
		}
	})
}
