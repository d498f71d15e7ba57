package celerymsg

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of what is read. Python's own reader gives up near
// its recursion limit of 1000, and the executor has to read the same text again.
const maxDepth = 500

// scanner walks JSON text without building anything. It accepts what Python's
// json module accepts (NaN and the infinities included) and nothing else.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// take moves over c, after any space.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// value moves over one value and returns its text.
func (s *scanner) value(depth int) ([]byte, bool) {
	s.space()
	start := s.pos
	if s.pos >= len(s.data) || !s.skip(depth) {
		return nil, false
	}
	return s.data[start:s.pos], true
}

func (s *scanner) skip(depth int) bool {
	switch c := s.data[s.pos]; c {
	case '"':
		return s.skipString()
	case '{', '[':
		return depth < maxDepth && s.skipNested(c, depth+1)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	case 'N':
		return s.word("NaN")
	case 'I':
		return s.word("Infinity")
	default:
		return s.skipNumber()
	}
}

func (s *scanner) word(w string) bool {
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		return false
	}
	s.pos += len(w)
	return true
}

func (s *scanner) skipNested(open byte, depth int) bool {
	end := open + 2 // '[' and ']', '{' and '}' are two apart
	s.pos++
	if s.take(end) {
		return true
	}
	for {
		if open == '{' {
			s.space()
			if s.pos >= len(s.data) || s.data[s.pos] != '"' || !s.skipString() || !s.take(':') {
				return false
			}
		}
		if _, ok := s.value(depth); !ok {
			return false
		}
		if s.take(end) {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// skipString looks at eight bytes at a time: most of a message is text without
// a quote, a backslash or a control character.
func (s *scanner) skipString() bool {
	s.pos++
	for {
		s.pos += plainPrefix(s.data[s.pos:])
		if s.pos >= len(s.data) {
			return false
		}
		switch s.data[s.pos] {
		case '"':
			s.pos++
			return true
		case '\\':
			if !s.skipEscape() {
				return false
			}
		default: // a control character
			return false
		}
	}
}

// plainPrefix is the number of bytes before the first that matters in a string.
func plainPrefix(b []byte) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		// Each term has the high bit of a byte set where it is below 0x20, a quote or
		// a backslash; a carry can only set wrong bits above the first right one.
		hit := ((x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & high
		if hit != 0 {
			return n + bits.TrailingZeros64(hit)/8
		}
	}
	for ; n < len(b); n++ {
		if c := b[n]; c < 0x20 || c == '"' || c == '\\' {
			break
		}
	}
	return n
}

func (s *scanner) skipEscape() bool {
	if s.pos+1 >= len(s.data) {
		return false
	}
	switch s.data[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return true
	case 'u':
		if _, ok := hex4(s.data[s.pos+2:]); !ok {
			return false
		}
		s.pos += 6
		return true
	}
	return false
}

func (s *scanner) skipNumber() bool {
	if s.data[s.pos] == '-' {
		s.pos++
		if s.pos < len(s.data) && s.data[s.pos] == 'I' {
			return s.word("Infinity")
		}
	}
	if s.pos < len(s.data) && s.data[s.pos] == '0' {
		s.pos++
	} else if s.digits() == 0 {
		return false
	}
	if s.pos < len(s.data) && s.data[s.pos] == '.' {
		s.pos++
		if s.digits() == 0 {
			return false
		}
	}
	if s.pos < len(s.data) && (s.data[s.pos] == 'e' || s.data[s.pos] == 'E') {
		s.pos++
		if s.pos < len(s.data) && (s.data[s.pos] == '+' || s.data[s.pos] == '-') {
			s.pos++
		}
		return s.digits() > 0
	}
	return true
}

func (s *scanner) digits() (n int) {
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
		n++
	}
	return n
}

// members iterates over an object.
type members struct {
	scanner
	depth int
	begun bool
	// bad is set when the text turned out not to be an object.
	bad bool
}

// object begins to iterate over text, which need not be one.
func object(text []byte) members {
	m := members{scanner: scanner{data: text}}
	m.bad = !m.take('{')
	return m
}

// next returns the next key, unquoted, and the text of its value.
func (m *members) next() (key, value []byte, ok bool) {
	if m.bad || m.take('}') {
		return nil, nil, false
	}
	if m.begun && !m.take(',') {
		m.bad = true
		return nil, nil, false
	}
	m.begun = true
	m.space()
	start := m.pos
	if m.pos >= len(m.data) || m.data[m.pos] != '"' || !m.skipString() {
		m.bad = true
		return nil, nil, false
	}
	key = inner(m.data[start:m.pos])
	if !m.take(':') {
		m.bad = true
		return nil, nil, false
	}
	if value, ok = m.value(m.depth + 1); !ok {
		m.bad = true
	}
	return key, value, ok
}

// inner is what a string's text stands for. It allocates only when there are escapes.
func inner(text []byte) []byte {
	text = text[1 : len(text)-1]
	if bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	return appendUnquoted(make([]byte, 0, len(text)), text)
}

// appendUnquoted decodes the escapes of a string that has been scanned.
func appendUnquoted(dst, text []byte) []byte {
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\\')
		if n < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:n]...)
		text = text[n:]
		if text[1] != 'u' {
			dst = append(dst, escaped(text[1]))
			text = text[2:]
			continue
		}
		r, _ := hex4(text[2:])
		text = text[6:]
		if utf16.IsSurrogate(r) && len(text) >= 6 && text[0] == '\\' && text[1] == 'u' {
			if low, ok := hex4(text[2:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
				r, text = utf16.DecodeRune(r, low), text[6:]
			}
		}
		dst = utf8.AppendRune(dst, r) // a lone surrogate becomes U+FFFD
	}
	return dst
}

func escaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// appendQuoted appends s as a JSON string.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, `\u00`...)
			if c < 0x10 {
				dst = append(dst, '0')
			}
			dst = strconv.AppendUint(dst, uint64(c), 16)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
