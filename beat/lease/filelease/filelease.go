// Package filelease keeps the record of an election in a file, for the processes of
// one machine.
//
// # Files
//
//	PATH        the record as JSON, replaced by renaming
//	PATH.lock   locked while somebody reads or replaces the record
//	PATH.alive  locked by the leader's process as long as it lives
//
// The kernel drops a lock when its process dies, so a leader that was killed is
// replaced at once: a reader that can lock PATH.alive knows that the holder is gone. A
// leader that is stopped keeps its lock; it is replaced after its duration, and its
// successor, who cannot have the lock yet, says so in the record and tries again with
// each renewal.
//
// # What it does not guarantee
//
// Locks on network file systems are not relied upon: keep the file on a local disk.
// Who deletes PATH while somebody leads makes room for a second leader until the
// first one's next renewal; who deletes PATH.lock, for longer. A process that is
// stopped in the few microseconds in which it holds PATH.lock keeps everybody from the
// record until it goes on or dies.
package filelease

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"crisper/beat/lease/election"
	"crisper/beat/lease/internal/stored"

	"golang.org/x/sys/unix"
)

// Backend is a lease.Backend.
type Backend struct {
	path string

	mu     sync.Mutex // of this process; PATH.lock is that of all
	closed bool
	alive  *os.File // with our lock on it; nil when we have none
	holder string   // of the record for which we have it
}

// Open makes the directory if need be.
func Open(path string) (*Backend, error) {
	if path == "" {
		return nil, errors.New("the file needs a name")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot resolve %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot create the directory of %s: %w", path, err)
	}
	return &Backend{path: path}, nil
}

// Read returns the record; its holder is dead when his lock is gone.
func (b *Backend) Read(ctx context.Context) (r election.Record, err error) {
	err = b.locked(ctx, func() error {
		var lock bool
		if r, lock, err = b.load(); err != nil {
			return err
		}
		if r.Holder != b.holder {
			b.drop() // another has taken over while we could not move
		}
		r.Dead = lock && b.alive == nil && b.holderIsGone()
		return nil
	})
	return r, b.explain("read", err)
}

// Write replaces the record.
func (b *Backend) Write(ctx context.Context, prev, next election.Record) (r election.Record, err error) {
	err = b.locked(ctx, func() error {
		now, _, err := b.load()
		if err != nil {
			return err
		}
		if now.Version != prev.Version {
			return election.ErrConflict
		}
		if next.Holder == "" {
			defer b.drop() // after the record: until then nobody may think us dead
		} else {
			b.takeAlive(next.Holder)
		}
		r, err = b.store(next, next.Token != now.Token)
		return err
	})
	return r, b.explain("write", err)
}

func (b *Backend) load() (election.Record, bool, error) {
	text, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return election.Record{}, false, err
	}
	r, locked, err := stored.Decode(string(text))
	if err != nil {
		err = election.Refuse("%v in %s", err, b.path)
	}
	return r, locked, err
}

// store replaces the file in one step. What moves the token is on the disk before it
// counts; a renewal that a power cut undoes hurts nobody.
func (b *Backend) store(next election.Record, lasting bool) (election.Record, error) {
	text, err := stored.Encode(next, b.alive != nil)
	if err != nil {
		return next, err
	}
	f, err := os.CreateTemp(filepath.Dir(b.path), filepath.Base(b.path)+".*")
	if err != nil {
		return next, err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it has another name by then if all went well
	_, err = f.WriteString(text)
	if lasting {
		err = errors.Join(err, f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return next, err
	}
	next.Version = text
	return next, os.Rename(f.Name(), b.path)
}

// locked does something while nobody else does.
func (b *Backend) locked(ctx context.Context, do func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return fs.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.OpenFile(b.path+".lock", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := lock(ctx, f); err != nil {
		return err
	}
	return do()
}

// lock waits in small steps, for flock itself does not end with ctx. The others hold
// it for microseconds.
func lock(ctx context.Context, f *os.File) error {
	for {
		err := flock(f, unix.LOCK_EX)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is locked: %w", f.Name(), ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// takeAlive gets the leader's lock for us, or not: a predecessor that is only stopped
// still has it.
func (b *Backend) takeAlive(holder string) {
	b.holder = holder
	if b.alive != nil {
		return
	}
	f, err := os.OpenFile(b.path+".alive", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return
	}
	if flock(f, unix.LOCK_EX) != nil {
		_ = f.Close()
		return
	}
	b.alive = f
}

func (b *Backend) drop() {
	if b.alive != nil {
		_ = b.alive.Close()
	}
	b.alive, b.holder = nil, ""
}

// holderIsGone is asked under PATH.lock, so that nobody is locking just now.
func (b *Backend) holderIsGone() bool {
	f, err := os.OpenFile(b.path+".alive", os.O_RDWR, 0)
	if err != nil {
		return false // somebody deleted it: the record's age decides
	}
	defer func() { _ = f.Close() }()
	return flock(f, unix.LOCK_EX) == nil
}

// explain tells refusals from what may pass.
func (b *Backend) explain(verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return election.Refuse("cannot %s %s: %v", verb, b, err)
	}
	return fmt.Errorf("cannot %s %s: %w", verb, b, err)
}

func (b *Backend) String() string { return "file " + b.path }

// Close ends the use of the file, as the end of the process would.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.drop()
	return nil
}
