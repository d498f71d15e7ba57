package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// region is a part of our address space.
type region struct{ from, to uintptr }

// unmapProgram: a failure costs memory only, and there is nobody to tell.
func unmapProgram() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	for _, r := range programRegions(maps, program) {
		// Not through unix.Madvise: it wants a slice, of memory that is not Go's.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, unix.MADV_DONTNEED)
	}
}

// programRegions are those that show the program's file as it is, read-only. One with
// pages that differ from the file is left alone: a debugger's or a tracer's breakpoints
// would be lost, and so would what a loader has relocated.
func programRegions(smaps io.Reader, program string) (regions []region) {
	var here region
	ours := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		line := lines.Text()
		if kb, found := strings.CutPrefix(line, "Anonymous:"); found {
			if ours && strings.Trim(kb, " ") == "0 kB" {
				regions = append(regions, here)
			}
			continue
		}
		var perms string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &here.from, &here.to, &perms); n == 3 {
			ours = (perms == "r-xp" || perms == "r--p") && strings.HasSuffix(line, " "+program)
		}
	}
	return regions
}
