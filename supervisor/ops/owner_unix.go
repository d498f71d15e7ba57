//go:build unix

package ops

import (
	"os"
	"syscall"
)

// ownerUID is the owner of a file, -1 when the system does not say.
func ownerUID(info os.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
