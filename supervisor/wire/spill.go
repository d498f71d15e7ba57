package wire

import (
	"fmt"
	"os"
)

// SpillFile holds the payload of a frame that is too large for a packet. Close
// it when the child has read it (it says Begun) or will not.
type SpillFile struct {
	file *os.File
	path string
}

// Spill writes a payload to a file.
func Spill(payload []byte) (*SpillFile, error) {
	f, path, err := spillFile()
	if err != nil {
		return nil, fmt.Errorf("cannot make a file for a large frame: %w", err)
	}
	s := &SpillFile{file: f, path: path}
	if _, err := f.Write(payload); err != nil {
		s.Close()
		return nil, fmt.Errorf("cannot write a large frame of %d bytes: %w", len(payload), err)
	}
	return s, nil
}

// Path is for AppendLarge.
func (s *SpillFile) Path() string { return s.path }

// Close frees the file.
func (s *SpillFile) Close() error {
	removeSpill(s.path)
	return s.file.Close()
}
