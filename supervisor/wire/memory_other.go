//go:build !linux

package wire

import "os"

// memoryFile makes a file without a name.
func memoryFile(name string) (*os.File, error) {
	f, err := os.CreateTemp("", name+"-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

func spillFile() (f *os.File, path string, err error) {
	if f, err = os.CreateTemp("", "crisper-frame-*"); err != nil {
		return nil, "", err
	}
	return f, f.Name(), nil
}

func removeSpill(path string) { _ = os.Remove(path) }
