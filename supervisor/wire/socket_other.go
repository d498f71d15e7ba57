//go:build !linux

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// A stream: the only connected local socket that macOS has. Nothing can be
// taken back from it, therefore the supervisor has one task in it at most.

func socketPair() (ours, theirs int, err error) {
	return streamPair()
}

// errPartial: the kernel took a part of a frame and has no room for the rest.
var errPartial = errors.New("the child reads too slowly")

// sendPacket sends a whole frame or nothing. With one task in the socket it has
// room; a child that stops reading within a frame is broken.
func sendPacket(fd int, frame []byte) error {
	for sent := 0; sent < len(frame); {
		n, err := unix.Write(fd, frame[sent:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN && sent > 0:
			if !writable(fd) {
				return errPartial
			}
		case err != nil:
			return err
		default:
			sent += n
		}
	}
	return nil
}

// writable gives a child that is in the middle of reading a moment to go on.
func writable(fd int) bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 1000)
	return n > 0
}

func recvPacket(fd int, buf []byte) (int, error) {
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// whole keeps the beginning of an unfinished frame for the next batch.
func (c *Conn) whole(batch []byte, from int) []byte {
	pos := from
	for len(batch)-pos >= sizeOfLength {
		length := binary.BigEndian.Uint32(batch[pos:])
		if length > MaxFrame {
			return batch // Parse says what is wrong with it
		}
		if len(batch)-pos-sizeOfLength < int(length) {
			break
		}
		pos += sizeOfLength + int(length)
	}
	c.partial = append(c.partial[:0], batch[pos:]...)
	return batch[:pos]
}

// Reclaim takes nothing back: of a stream the child may have read any part.
func (c *Conn) Reclaim() ([]Frame, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.theirs < 0 {
		return nil, fmt.Errorf("cannot take frames back: %w", unix.EBADF)
	}
	return nil, nil
}
