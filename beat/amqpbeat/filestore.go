package amqpbeat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"crisper/beat"
	"crisper/broker"
)

// FileStore keeps the text in a file that is replaced as a whole. Swaps of several
// processes on one machine are ordered by a lock file beside it. A process that is
// frozen while it holds the lock, for the few milliseconds of a swap, keeps the
// others out until it goes on.
type FileStore struct {
	Path string
	// Pace overrides the time between two batches, for tests.
	Pace time.Duration
}

// Limits implements Store.
func (f *FileStore) Limits() Limits {
	pace := f.Pace
	if pace == 0 {
		pace = 100 * time.Millisecond
	}
	return Limits{Name: "a file of records", Bytes: 64 << 20, Pace: pace}
}

// Load implements Store.
func (f *FileStore) Load(context.Context) ([]byte, string, error) {
	text, err := os.ReadFile(f.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("cannot read the records: %w", fileError(err))
	}
	return text, versionOf(text), nil
}

func versionOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Swap implements Store.
func (f *FileStore) Swap(ctx context.Context, text []byte, version string) (string, error) {
	unlock, err := f.lock(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot lock the records: %w", err)
	}
	defer unlock()
	_, current, err := f.Load(ctx)
	if err != nil {
		return "", err
	}
	if current != version {
		return "", ErrConflict
	}
	if err := f.replace(text); err != nil {
		return "", fmt.Errorf("cannot write the records: %w", fileError(err))
	}
	return versionOf(text), nil
}

// replace is durable and leaves the old or the new text, never half of one.
func (f *FileStore) replace(text []byte) error {
	temporary := f.Path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, f.Path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(f.Path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// lock waits for the lock, which ends with the process that holds it.
func (f *FileStore) lock(ctx context.Context) (unlock func(), err error) {
	file, err := os.OpenFile(f.Path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fileError(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil // closing unlocks
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || ctx.Err() != nil || time.Now().After(deadline) {
			_ = file.Close()
			return nil, errors.Join(fmt.Errorf("%w: %w", beat.ErrUnavailable, err), ctx.Err())
		}
		select { // flock cannot wait for a limited time
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// fileError: what the user must mend, and what may pass (a full disk).
func fileError(err error) error {
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: %w", broker.ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", beat.ErrUnavailable, err)
}
