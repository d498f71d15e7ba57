package wire

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Page is the memory shared with one child (doc.go has its layout). The fields
// are little endian as the machines that we run on are (amd64, arm64).
type Page struct {
	file *os.File
	mem  []byte
}

// Offsets in the page.
const (
	pageCurrent = 0
	pageTarget  = 8
	pageResults = 16
)

// NewPage makes an empty page.
func NewPage() (*Page, error) {
	f, err := memoryFile("crisper-page")
	if err != nil {
		return nil, fmt.Errorf("cannot make a shared page: %w", err)
	}
	if err := f.Truncate(PageSize); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot make a shared page: %w", err)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot map a shared page: %w", err)
	}
	return &Page{file: f, mem: mem}, nil
}

// File is to be handed to the child; it stays ours.
func (p *Page) File() *os.File { return p.file }

// Current is the seq of the task whose body runs, 0 between tasks.
func (p *Page) Current() uint64 {
	if p.mem == nil {
		return 0
	}
	return atomic.LoadUint64(p.word(pageCurrent))
}

// SetTarget says which task the next SIGUSR1 is meant for.
func (p *Page) SetTarget(seq uint64) {
	if p.mem != nil {
		atomic.StoreUint64(p.word(pageTarget), seq)
	}
}

// SetResults asks for the reprs of results in Done frames, from the next task on.
func (p *Page) SetResults(wanted bool) {
	if p.mem == nil {
		return
	}
	var word uint64
	if wanted {
		word = 1
	}
	atomic.StoreUint64(p.word(pageResults), word)
}

func (p *Page) word(at int) *uint64 { return (*uint64)(unsafe.Pointer(&p.mem[at])) }

// Close unmaps the page; the child keeps its own mapping.
func (p *Page) Close() error {
	if p.mem == nil {
		return nil
	}
	err := unix.Munmap(p.mem)
	p.mem = nil
	if cerr := p.file.Close(); err == nil {
		err = cerr
	}
	return err
}
