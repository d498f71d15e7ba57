package celerymsg

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of what is read. Python's own reader gives up near
// its recursion limit of 1000, and the executor has to read the same text again.
const maxDepth = 500

// maxDigits bounds an integer: Python refuses to read a longer one
// (sys.int_info.default_max_str_digits).
const maxDigits = 4300

// The skip functions move over JSON text without building anything: from a
// position to the one behind, or bad. They accept what Python's json module accepts
// (NaN and the infinities included) and nothing else. Positions are passed in
// registers: this is the hot path of every delivery.

const bad = -1

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipByte moves over c, after any space.
func skipByte(b []byte, i int, c byte) int {
	if i = skipSpace(b, i); i < len(b) && b[i] == c {
		return i + 1
	}
	return bad
}

// skipValue moves over one value; there is no space before it.
func skipValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return bad
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{':
		return skipObject(b, i, depth+1)
	case '[':
		return skipArray(b, i, depth+1)
	case 't':
		return skipWord(b, i, "true")
	case 'f':
		return skipWord(b, i, "false")
	case 'n':
		return skipWord(b, i, "null")
	case 'N':
		return skipWord(b, i, "NaN")
	case 'I':
		return skipWord(b, i, "Infinity")
	}
	return skipNumber(b, i)
}

func skipWord(b []byte, i int, w string) int {
	if len(b)-i < len(w) || string(b[i:i+len(w)]) != w {
		return bad
	}
	return i + len(w)
}

func skipObject(b []byte, i, depth int) int {
	it := members{text: b, pos: i + 1, depth: depth, bad: depth > maxDepth}
	for it.next() {
		it.value()
	}
	return it.end()
}

func skipArray(b []byte, i, depth int) int {
	if depth > maxDepth {
		return bad
	}
	i++
	if end := skipByte(b, i, ']'); end != bad {
		return end
	}
	for {
		if i = skipValue(b, skipSpace(b, i), depth); i == bad {
			return bad
		}
		if i = skipSpace(b, i); i >= len(b) {
			return bad
		}
		switch b[i] {
		case ']':
			return i + 1
		case ',':
			i++
		default:
			return bad
		}
	}
}

func skipString(b []byte, i int) int {
	i++
	for {
		i += plainPrefix(b[i:])
		if i >= len(b) {
			return bad
		}
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			if i = skipEscape(b, i); i == bad {
				return bad
			}
		default: // a control character
			return bad
		}
	}
}

// plainPrefix is the number of bytes before the first that matters in a string.
// It looks at eight at a time: most of a message is text without any.
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

func skipEscape(b []byte, i int) int {
	if i+1 >= len(b) {
		return bad
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if _, ok := hex4(b[i+2:]); ok {
			return i + 6
		}
	}
	return bad
}

func skipNumber(b []byte, i int) int {
	if b[i] == '-' {
		if i++; i < len(b) && b[i] == 'I' {
			return skipWord(b, i, "Infinity")
		}
	}
	start := i
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = skipDigits(b, i); i == start {
		return bad
	}
	end := skipExponent(b, skipFraction(b, i))
	if end == i && i-start > maxDigits {
		return bad
	}
	return end
}

func skipFraction(b []byte, i int) int {
	if i >= len(b) || b[i] != '.' {
		return i
	}
	start := i + 1
	if i = skipDigits(b, start); i == start {
		return bad
	}
	return i
}

func skipExponent(b []byte, i int) int {
	if i == bad || i >= len(b) || b[i]|0x20 != 'e' {
		return i
	}
	if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	start := i
	if i = skipDigits(b, start); i == start {
		return bad
	}
	return i
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}

// members iterates over an object. After next, key is the member's name and
// pos is at its value; value or nested moves over that.
type members struct {
	text  []byte
	key   []byte
	pos   int
	depth int
	begun bool
	ended bool
	bad   bool
}

// object begins to iterate over text, which need not be one.
func object(text []byte) members {
	m := members{text: text, pos: skipByte(text, 0, '{'), depth: 1}
	m.bad = m.pos == bad
	return m
}

// next moves to the value of the next member.
func (m *members) next() bool {
	if m.bad || m.ended {
		return false
	}
	b := m.text
	i := skipSpace(b, m.pos)
	if i < len(b) && b[i] == '}' {
		m.ended, m.pos = true, i+1
		return false
	}
	if m.begun {
		if i = skipByte(b, i, ','); i == bad {
			return m.fail()
		}
		i = skipSpace(b, i)
	}
	m.begun = true
	if i >= len(b) || b[i] != '"' {
		return m.fail()
	}
	end := skipString(b, i)
	if end == bad {
		return m.fail()
	}
	m.key = inner(b[i+1 : end-1])
	if i = skipByte(b, end, ':'); i == bad {
		return m.fail()
	}
	m.pos = skipSpace(b, i)
	return true
}

func (m *members) fail() bool {
	m.bad = true
	return false
}

// value moves over the value and returns its text.
func (m *members) value() []byte {
	start := m.pos
	if m.pos = skipValue(m.text, start, m.depth); m.pos == bad {
		m.bad = true
		return nil
	}
	return m.text[start:m.pos]
}

// nested begins to iterate over the value in place if it is an object. The
// caller goes through all of it, and then calls leave.
func (m *members) nested() (in members, ok bool) {
	if m.pos >= len(m.text) || m.text[m.pos] != '{' {
		return members{}, false
	}
	return members{text: m.text, pos: m.pos + 1, depth: m.depth + 1}, true
}

// leave ends what nested began and returns the text of the value.
func (m *members) leave(in *members) []byte {
	start := m.pos
	if m.pos = in.end(); m.pos == bad {
		m.bad = true
		return nil
	}
	return m.text[start:m.pos]
}

// end is the position behind the object, bad if it was not one.
func (m *members) end() int {
	if m.bad || !m.ended {
		return bad
	}
	return m.pos
}

// unquote writes what a string's text without its quotes stands for.
func unquote(dst *strings.Builder, text []byte) {
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\\')
		if n < 0 {
			dst.Write(text)
			return
		}
		dst.Write(text[:n])
		text = text[n:]
		if text[1] != 'u' {
			dst.WriteByte(escaped(text[1]))
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
		dst.WriteRune(r) // a lone surrogate becomes U+FFFD
	}
}

// inner is what a string's text without its quotes stands for. It allocates only
// when there are escapes.
func inner(text []byte) []byte {
	if bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	var out strings.Builder
	unquote(&out, text)
	return []byte(out.String())
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
