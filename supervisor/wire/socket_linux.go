package wire

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Packets: the kernel keeps frames apart and hands each to exactly one reader.

func socketPair() (ours, theirs int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	// Only ours: whether a description blocks is shared with the child, which
	// wants to wait in its read.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return 0, 0, err
	}
	for _, fd := range fds {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
	return fds[0], fds[1], nil
}

// Our end never blocks, so neither of these two enters the scheduler (RawSyscall): the
// other kind of call wakes Go's monitor thread each time, in case it blocks, and that
// cost as much as all that the supervisor itself does for a task.

func sendPacket(fd int, frame []byte) error {
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(frame))), uintptr(len(frame)))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// recvPacket reads one packet from our end, io.EOF at the end. The plain read
// allocates nothing; it does not tell when it cuts a packet off, but no packet
// that is in order fills the buffer.
func recvPacket(fd int, buf []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
		switch errno {
		case 0:
			return checkPacket(fd, int(n), len(buf), nil)
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// takePacket is recvPacket for the child's end, which blocks.
func takePacket(fd int, buf []byte) (int, error) {
	for {
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return checkPacket(fd, n, len(buf), err)
		}
	}
}

func checkPacket(fd, n, room int, err error) (int, error) {
	switch {
	case err != nil:
		return 0, err
	case n == room:
		return 0, fmt.Errorf("a packet is above the limit of %d bytes", room)
	case n == 0 && hungUp(fd):
		return 0, io.EOF
	case n == 0:
		return 0, errors.New("an empty packet")
	}
	return n, nil
}

// hungUp tells the end of a socket from an empty packet: both read as 0 bytes.
func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	_, err := unix.Poll(fds, 0)
	return err != nil || fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}

// whole: every packet holds whole frames.
func (c *Conn) whole(batch []byte, _ int) []byte { return batch }

// Reclaim takes back what we sent and the child has not read. The kernel decides
// each race: a frame is returned here or read by the child, never both.
func (c *Conn) Reclaim() ([]Frame, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.theirs < 0 {
		return nil, fmt.Errorf("cannot take frames back: %w", os.ErrClosed)
	}
	buf := packets.Get().(*[maxPacket]byte)
	defer packets.Put(buf)
	var frames []Frame
	for {
		n, err := takePacket(c.theirs, buf[:])
		if err == unix.EAGAIN || err == io.EOF {
			return frames, nil
		}
		if err != nil {
			return frames, fmt.Errorf("cannot take frames back: %w", err)
		}
		f, _, err := Parse(append([]byte(nil), buf[:n]...))
		if err != nil {
			return frames, fmt.Errorf("cannot take frames back: %w", err)
		}
		frames = append(frames, f)
	}
}
