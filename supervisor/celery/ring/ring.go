package ring

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The layout; doc.go tells it.
const (
	Header = 4096
	Size   = 512 << 10
	headAt = 0
	tailAt = 64
)

// kept bounds the copy that is kept from one reading to the next.
const kept = 64 << 10

// Ring is our side, for one goroutine. A nil Ring has nothing in it.
type Ring struct {
	file *os.File
	mem  []byte
	tail uint64 // what was read
	seen uint64 // the head at the last Glance
	copy []byte
}

// New makes an empty ring.
func New() (*Ring, error) {
	f, err := memoryFile(Header + Size)
	if err != nil {
		return nil, fmt.Errorf("cannot make shared memory: %w", err)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, Header+Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot map shared memory: %w", err)
	}
	return &Ring{file: f, mem: mem}, nil
}

// File is to be handed to the worker, and closed then: the memory remains.
func (r *Ring) File() *os.File { return r.file }

// Upto returns what was written from where the last reading ended to a position. It is
// valid until the next reading.
func (r *Ring) Upto(position uint64) ([]byte, error) {
	if r == nil || r.mem == nil || position <= r.tail {
		return nil, nil
	}
	head, n := atomic.LoadUint64(r.word(headAt)), position-r.tail
	if position > head || n > Size {
		return nil, fmt.Errorf("cannot read shared memory from %d to %d: %d were written", r.tail, position, head)
	}
	if cap(r.copy) > kept {
		r.copy = nil
	}
	at, data := r.tail%Size, r.mem[Header:]
	r.copy = append(r.copy[:0], data[at:min(at+n, Size)]...)
	r.copy = append(r.copy, data[:n-uint64(len(r.copy))]...)
	r.tail = position
	atomic.StoreUint64(r.word(tailAt), position)
	return r.copy, nil
}

// Glance is Upto where the head was at the last Glance.
func (r *Ring) Glance() ([]byte, error) {
	if r == nil || r.mem == nil {
		return nil, nil
	}
	upto := r.seen
	r.seen = atomic.LoadUint64(r.word(headAt))
	return r.Upto(upto)
}

// Rest is all that is left of a writer that is gone.
func (r *Ring) Rest() ([]byte, error) {
	if r == nil || r.mem == nil {
		return nil, nil
	}
	return r.Upto(atomic.LoadUint64(r.word(headAt)))
}

func (r *Ring) word(at int) *uint64 { return (*uint64)(unsafe.Pointer(&r.mem[at])) }

// Close gives the memory back; the worker keeps its own mapping.
func (r *Ring) Close() {
	if r == nil || r.mem == nil {
		return
	}
	_ = unix.Munmap(r.mem) // it is ours: there is nothing that could be wrong
	r.mem = nil
	r.file.Close()
}
