package process

import (
	"bytes"
	"sync"
	"syscall"
)

// buffer holds one /proc or cgroup file. The largest, memory.stat of a recent
// kernel, has about 2 KiB.
type buffer [8192]byte

// readBuffers are reused: these files are read several times a second per child.
var readBuffers = sync.Pool{New: func() any { return new(buffer) }}

// readInto reads a small file with three system calls and no allocation but the
// path's; os.ReadFile would register it with the poller and grow its buffer.
func readInto(path string, buf []byte) ([]byte, error) {
	fd, err := open(path)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	n := 0
	for n < len(buf) {
		got, err := syscall.Read(fd, buf[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if got == 0 {
			break
		}
		n += got
	}
	return bytes.TrimSpace(buf[:n]), nil
}

func open(path string) (int, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}
