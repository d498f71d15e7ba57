package process

import (
	"os"
	"path/filepath"
	"syscall"
	"unicode/utf8"
)

// terminationLimit is what the kubelet reads of a termination message.
const terminationLimit = 4096

// TerminationMessage leaves the last words for `kubectl describe pod`. It cannot
// fail in a way that anybody could do something about, and says nothing.
func TerminationMessage(path, text string) {
	if path == "" {
		return
	}
	flags := os.O_WRONLY | os.O_TRUNC | syscall.O_NONBLOCK // a fifo without a reader must not hold us
	if filepath.Dir(path) != "/dev" {
		// The kubelet makes its file. In /dev of another machine, a file of that
		// name would only be litter.
		flags |= os.O_CREATE
	}
	file, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return
	}
	_, _ = file.WriteString(shorten(text, terminationLimit))
	_ = file.Close()
}

// shorten cuts text to at most limit bytes, between characters.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
