package redisbroker

import (
	"errors"
	"io"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// swift is a connection whose reads and writes do not enter Go's scheduler. They
// cannot block, the descriptor is not of that kind; but Go's monitor thread is woken for
// each call that might, which costs three changes of thread: for a worker whose tasks
// end one by one a fifth of the supervisor's CPU.
//
// One goroutine at a time reads and one writes, as go-redis does.
type swift struct {
	net.Conn
	raw     syscall.RawConn
	in, out call
}

// call is a system call under way; try is made once, so that nothing
// is allocated for each.
type call struct {
	buf   []byte
	n     int
	errno unix.Errno
	try   func(fd uintptr) bool
}

// hasten makes a plain connection swift; others stay as they are.
func hasten(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	plain, ok := conn.(syscall.Conn)
	if !ok {
		return conn, nil
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return conn, nil
	}
	s := &swift{Conn: conn, raw: raw}
	s.in.try = func(fd uintptr) bool { return s.in.attempt(unix.SYS_READ, fd) }
	s.out.try = func(fd uintptr) bool { return s.out.attempt(unix.SYS_WRITE, fd) }
	return s, nil
}

// attempt makes the call until it is done with; false: it would block.
func (c *call) attempt(number, fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(c.buf))), uintptr(len(c.buf)))
		switch errno {
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			c.n, c.errno = int(n), errno
			return true
		}
	}
}

// Read implements net.Conn.
func (s *swift) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.in.buf = p
	err := s.raw.Read(s.in.try)
	s.in.buf = nil
	switch {
	case err != nil:
		return 0, s.failed("read", err)
	case s.in.errno != 0:
		return 0, s.failed("read", s.in.errno)
	case s.in.n == 0:
		return 0, io.EOF
	}
	return s.in.n, nil
}

// Write implements net.Conn.
func (s *swift) Write(p []byte) (written int, err error) {
	for written < len(p) {
		s.out.buf = p[written:]
		err = s.raw.Write(s.out.try)
		s.out.buf = nil
		if err == nil && s.out.errno != 0 {
			err = s.out.errno
		}
		if err != nil {
			return written, s.failed("write", err)
		}
		written += s.out.n
	}
	return written, nil
}

// failed is the error as a plain connection gives it.
func (s *swift) failed(op string, err error) error {
	var raw *net.OpError
	if errors.As(err, &raw) {
		err = raw.Err
	}
	return &net.OpError{Op: op, Net: s.RemoteAddr().Network(), Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: err}
}

// SyscallConn is how go-redis looks, before each request, whether the server has closed
// the connection. The look is made here; the answer has nothing left to do.
func (s *swift) SyscallConn() (syscall.RawConn, error) {
	var seen error
	err := s.raw.Control(func(fd uintptr) { seen = look(fd) })
	return looked{}, errors.Join(err, seen)
}

var errUnasked = errors.New("the server said something that nobody had asked for")

// look peeks at what has arrived on a connection on which nothing is expected.
func look(fd uintptr) error {
	var one [1]byte
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&one)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return nil
		case errno != 0:
			return errno
		case n == 0:
			return io.EOF
		default:
			return errUnasked
		}
	}
}

// looked is a descriptor on which no call need be made any more.
type looked struct{}

func (looked) Control(func(uintptr)) error    { return nil }
func (looked) Read(func(uintptr) bool) error  { return nil }
func (looked) Write(func(uintptr) bool) error { return nil }
