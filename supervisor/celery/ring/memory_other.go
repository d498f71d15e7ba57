//go:build !linux

package ring

import "os"

// memoryFile makes a file without a name.
func memoryFile(size int64) (*os.File, error) {
	f, err := os.CreateTemp("", "crisper-ring-*")
	if err != nil {
		return nil, err
	}
	if err = os.Remove(f.Name()); err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
