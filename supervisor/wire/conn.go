package wire

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxPacket is the largest packet that is read: nothing that either side may
// send inline is larger, even several frames in one packet.
const maxPacket = 2 * MaxInline

// maxBatch ends a batch: more is left for the next, so that a child that floods
// us costs bounded memory.
const maxBatch = 1 << 20

// sendBuffer is what we ask of the kernel for each direction; it may grant less.
const sendBuffer = 1 << 20

// ErrGone means that the other side has closed its end.
var ErrGone = errors.New("the other side is gone")

// Conn is our end of a child's socket. One goroutine may send, reclaim, finish
// and close, another may receive.
//
// We keep a duplicate of the child's end: to take back what the child has not
// read (Reclaim), and to be independent of processes that the child left behind
// with its end still open (Finish). Because of it the socket does not end by
// itself when the child dies; the exit status does that, through Finish.
type Conn struct {
	file *os.File
	raw  syscall.RawConn

	mu     sync.Mutex // guards theirs
	theirs int        // duplicate of the child's end, -1 when closed
	closed atomic.Bool

	// Owned by the sender, so that sending does not allocate.
	out     []byte
	outErr  error
	tryOnce func(fd uintptr) bool
	// Owned by the receiver.
	in      []byte
	inErr   error
	partial []byte // stream sockets only: the beginning of a frame
	readAll func(fd uintptr) bool
}

// Pair makes the two ends of a child's socket: ours, and the file to hand to
// the child and then to close.
func Pair() (parent *Conn, child *os.File, err error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket pair: %w", err)
	}
	dup, err := unix.FcntlInt(uintptr(theirs), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		unix.Close(ours)
		unix.Close(theirs)
		return nil, nil, fmt.Errorf("cannot duplicate the child's socket: %w", err)
	}
	child = os.NewFile(uintptr(theirs), "child socket")
	c := &Conn{file: os.NewFile(uintptr(ours), "supervisor socket"), theirs: dup}
	if c.raw, err = c.file.SyscallConn(); err != nil {
		c.Close()
		child.Close()
		return nil, nil, fmt.Errorf("cannot use the socket pair: %w", err)
	}
	c.tryOnce = func(fd uintptr) bool {
		c.outErr = sendPacket(int(fd), c.out)
		return true
	}
	c.readAll = func(fd uintptr) bool { return c.receiveReady(int(fd)) }
	return c, child, nil
}

// TrySend sends one frame if the socket has room for it at once. An error means
// that nothing can be sent to this child any more.
func (c *Conn) TrySend(frame []byte) (bool, error) {
	c.out = frame
	err := c.raw.Write(c.tryOnce)
	c.out = nil
	if err == nil {
		err = c.outErr
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EAGAIN):
		return false, nil
	}
	return false, sendError(err, &c.closed)
}

// Send sends frames, one packet each, and waits for room where it must.
func (c *Conn) Send(frames ...[]byte) error {
	var sent error
	err := c.raw.Write(func(fd uintptr) bool {
		for len(frames) > 0 {
			if sent = sendPacket(int(fd), frames[0]); sent != nil {
				return !errors.Is(sent, unix.EAGAIN)
			}
			frames = frames[1:]
		}
		return true
	})
	if err == nil {
		err = sent
	}
	if err != nil {
		return sendError(err, &c.closed)
	}
	return nil
}

func sendError(err error, closed *atomic.Bool) error {
	if closed.Load() { // the poller's own error for it is not exported
		err = os.ErrClosed
	} else if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ENOTCONN) {
		err = ErrGone
	}
	return fmt.Errorf("cannot send to child: %w", err)
}

// Receive waits until there is something, and appends all that is there, whole
// frames one after the other, to buf. It returns io.EOF when nothing more will
// come; a batch may come with it.
func (c *Conn) Receive(buf []byte) ([]byte, error) {
	c.in, c.inErr = append(buf, c.partial...), nil
	c.partial = c.partial[:0]
	err := c.raw.Read(c.readAll)
	batch := c.in
	c.in = nil
	if err == nil {
		err = c.inErr
	}
	switch {
	case err == nil || errors.Is(err, io.EOF):
	case c.closed.Load():
		err = os.ErrClosed
	default:
		err = fmt.Errorf("cannot read from child: %w", err)
	}
	return c.whole(batch, len(buf)), err
}

// packets holds buffers for the largest packet: it must be read in one piece, most are
// tiny, and one buffer of this size for each child would be most of our memory.
var packets = sync.Pool{New: func() any { return new([maxPacket]byte) }}

// receiveReady reads until the socket is empty; false asks to be called again
// when it is not.
func (c *Conn) receiveReady(fd int) bool {
	begin := len(c.in)
	resets := 0
	packet := packets.Get().(*[maxPacket]byte)
	defer packets.Put(packet)
	for len(c.in)-begin < maxBatch {
		n, err := recvPacket(fd, packet[:])
		switch {
		case err == nil:
			c.in = append(c.in, packet[:n]...)
		case errors.Is(err, unix.EAGAIN):
			return len(c.in) > begin
		case errors.Is(err, unix.ECONNRESET) && resets == 0:
			resets++ // says only that it died with unread frames; what it said is still there
		default:
			c.inErr = err
			return true
		}
	}
	return true
}

// Finish ends the socket in both directions. What the child has said can still
// be received, then comes io.EOF. Call it when the child is dead.
func (c *Conn) Finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.theirs >= 0 {
		// Not just closed: a process that the child left behind may hold it open.
		_ = unix.Shutdown(c.theirs, unix.SHUT_RDWR)
	}
}

// Close frees both descriptors. A Receive that waits returns os.ErrClosed.
func (c *Conn) Close() error {
	c.closed.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.theirs >= 0 {
		unix.Close(c.theirs)
		c.theirs = -1
	}
	return c.file.Close()
}
