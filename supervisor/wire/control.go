package wire

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Control is our end of a zygote's control socket: a stream of frames, over
// which files can be handed. One goroutine may read, any may send.
type Control struct {
	*FrameReader
	file   *os.File
	raw    syscall.RawConn
	mu     sync.Mutex // one frame at a time
	closed atomic.Bool
}

// ControlPair makes the two ends of a control socket: ours, and the file to hand
// to the process that is started and then to close.
func ControlPair() (parent *Control, child *os.File, err error) {
	ours, theirs, err := streamPair()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a control socket: %w", err)
	}
	child = os.NewFile(uintptr(theirs), "child control socket")
	c := &Control{file: os.NewFile(uintptr(ours), "control socket")}
	if c.raw, err = c.file.SyscallConn(); err != nil {
		c.file.Close()
		child.Close()
		return nil, nil, fmt.Errorf("cannot use the control socket: %w", err)
	}
	c.FrameReader = NewFrameReader(c.file)
	return c, child, nil
}

// streamPair makes a stream socket pair of which ours does not block.
func streamPair() (ours, theirs int, err error) {
	// Between these calls a fork elsewhere must not inherit the descriptors; only
	// Linux can set the flag at once.
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, 0, err
	}
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

// Send sends a frame and waits for room where it must.
func (c *Control) Send(frame []byte) error { return c.SendWithFiles(frame) }

// SendWithFiles sends a frame and, with its first byte, descriptors of files.
// The caller keeps its own and may close them afterwards.
func (c *Control) SendWithFiles(frame []byte, files ...*os.File) error {
	var rights []byte
	if len(files) > 0 {
		fds, err := descriptors(files)
		if err != nil {
			return fmt.Errorf("cannot hand over files: %w", err)
		}
		rights = unix.UnixRights(fds...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var sent error
	err := c.raw.Write(func(fd uintptr) bool {
		for len(frame) > 0 {
			var n int
			n, sent = unix.SendmsgN(int(fd), frame, rights, nil, 0)
			if errors.Is(sent, unix.EINTR) {
				continue
			}
			if sent != nil {
				return !errors.Is(sent, unix.EAGAIN)
			}
			frame, rights = frame[n:], nil
		}
		return true
	})
	runtime.KeepAlive(files)
	if err == nil {
		err = sent
	}
	if err != nil {
		return sendError(err, &c.closed)
	}
	return nil
}

func descriptors(files []*os.File) ([]int, error) {
	fds := make([]int, 0, len(files))
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err != nil {
			return nil, err
		}
		// Not File.Fd: that may change how the file blocks, for the other side too.
		if err := raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) }); err != nil {
			return nil, err
		}
	}
	return fds, nil
}

// Close ends the socket; Next returns os.ErrClosed.
func (c *Control) Close() error {
	c.closed.Store(true)
	return c.file.Close()
}

// FrameReader reads frames from a stream.
type FrameReader struct {
	source io.Reader
	buf    []byte // what has been read and not returned is buf[pos:]
	pos    int
}

// NewFrameReader returns a reader of the frames in source.
func NewFrameReader(source io.Reader) *FrameReader { return &FrameReader{source: source} }

// readSize is the least room for one read.
const readSize = 32 << 10

// Next waits for the next frame. Its payload is valid until the next call. The
// stream's end between two frames is io.EOF, within one io.ErrUnexpectedEOF.
func (r *FrameReader) Next() (Frame, error) {
	for {
		f, rest, err := Parse(r.buf[r.pos:])
		if err == nil {
			r.pos = len(r.buf) - len(rest)
			return f, nil
		}
		if !errors.Is(err, ErrShort) {
			return Frame{}, err
		}
		if err := r.fill(); err != nil {
			return Frame{}, err
		}
	}
}

// fill reads more behind what is there, which moves to the front. The buffer
// grows with what has arrived, not with the length that a frame claims.
func (r *FrameReader) fill() error {
	n := copy(r.buf, r.buf[r.pos:])
	r.buf, r.pos = r.buf[:n], 0
	if cap(r.buf)-n < readSize {
		grown := make([]byte, n, 2*cap(r.buf)+readSize)
		copy(grown, r.buf)
		r.buf = grown
	}
	got, err := r.source.Read(r.buf[n:cap(r.buf)])
	r.buf = r.buf[:n+got]
	switch {
	case got > 0:
		return nil
	case err == io.EOF && n > 0:
		return fmt.Errorf("cannot read frame: %w", io.ErrUnexpectedEOF)
	case err == nil:
		return fmt.Errorf("cannot read frame: %w", io.ErrNoProgress)
	}
	return err
}
