package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A redis-server that is killed ends every MONITOR, and forgets nothing that it has done:
// it has written each change down before it answered (append-only file, fsync always).
// That says what became of a message, and not who did it: a BRPOP is written as RPOP,
// what a script does as if it had been told. So it is evidence of what was lost, since
// nobody but kombu pops here, and of nothing else.

// written is the wire that stands in a server's append-only files.
func written(dir string) (*wire, error) {
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("redis-server has no append-only file in %s: %w", dir, err)
	}
	slices.SortFunc(files, func(a, b string) int { // NAME.NUMBER.incr.aof
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	w := &wire{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read what redis-server has written down: %w", err)
		}
		for len(text) > 0 {
			var words []string
			if words, text, err = nextWritten(text); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if len(words) == 0 {
				break // the last one is being written
			}
			w.take(command{words: asAsked(words)})
		}
	}
	return w, nil
}

// asAsked is a command as kombu gave it.
func asAsked(words []string) []string {
	words[0] = strings.ToUpper(words[0])
	if words[0] == "RPOP" {
		return append([]string{"BRPOP"}, append(words[1:], "0")...)
	}
	return words
}

var errNotWritten = errors.New("this is no append-only file")

// nextWritten reads a command; no words: it is not whole yet.
func nextWritten(text []byte) (words []string, rest []byte, err error) {
	n, rest, whole, err := number(text, '*')
	for i := 0; i < n && whole && err == nil; i++ {
		var length int
		if length, rest, whole, err = number(rest, '$'); !whole || err != nil {
			break
		}
		if length < 0 {
			return nil, nil, errNotWritten
		}
		if whole = len(rest) >= length+2; whole {
			words, rest = append(words, string(rest[:length])), rest[length+2:]
		}
	}
	if !whole || err != nil {
		return nil, nil, err
	}
	return words, rest, nil
}

// number reads a line of a letter and a number.
func number(text []byte, letter byte) (n int, rest []byte, whole bool, err error) {
	line, rest, whole := bytes.Cut(text, []byte("\r\n"))
	if !whole {
		return 0, nil, false, nil
	}
	if len(line) < 2 || line[0] != letter {
		return 0, nil, false, errNotWritten
	}
	n, err = strconv.Atoi(string(line[1:]))
	return n, rest, true, err
}
