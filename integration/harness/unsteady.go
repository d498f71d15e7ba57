package harness

import (
	"fmt"
	"os"
	"path/filepath"
)

// Unsteady notes what failed and passed when it was run again where the last lines
// of make test name it, so that nobody takes it for something that passes.
func (b *Bed) Unsteady(name string) error {
	dir := filepath.Join(b.Root, ".cache")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot note what is unsteady: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "unsteady.txt"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("cannot note what is unsteady: %w", err)
	}
	_, err = fmt.Fprintln(f, name)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("cannot note what is unsteady: %w", err)
	}
	return nil
}
