package process

import (
	"bytes"
	"strconv"
)

// parsePrivate adds up the private pages of a smaps_rollup, in bytes.
func parsePrivate(text []byte) (int64, bool) {
	return sumKB(text, "Private_Clean:", "Private_Dirty:", "Private_Hugetlb:")
}

func parsePSS(text []byte) (int64, bool) { return sumKB(text, "Pss:") }

// sumKB adds up the named lines ("Pss:   352 kB"); false when there are none.
func sumKB(text []byte, names ...string) (total int64, found bool) {
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		for _, name := range names {
			if len(line) > len(name) && string(line[:len(name)]) == name {
				n, _ := leadingInt(bytes.TrimLeft(line[len(name):], " "))
				total += n << 10
				found = true
			}
		}
	}
	return total, found
}

// parseStatm is resident minus shared, in bytes ("size resident shared …", pages).
func parseStatm(text []byte, page int64) (int64, bool) {
	fields := bytes.Fields(text)
	if len(fields) < 3 {
		return 0, false
	}
	resident, ok1 := leadingInt(fields[1])
	shared, ok2 := leadingInt(fields[2])
	return max(0, resident-shared) * page, ok1 && ok2
}

// parseStat reads rss (field 24, pages) and minflt + majflt (10 and 12). The name of the
// program, field 2, may hold anything, parentheses too: fields count from its last one.
func parseStat(text []byte, page int64) (glance, bool) {
	const minflt, majflt, rss = 10 - 3, 12 - 3, 24 - 3
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= rss {
		return glance{}, false
	}
	minor, ok1 := leadingInt(fields[minflt])
	major, ok2 := leadingInt(fields[majflt])
	pages, ok3 := leadingInt(fields[rss])
	return glance{resident: pages * page, faults: minor + major}, ok1 && ok2 && ok3
}

// parseKey finds "name number" in a memory.stat, memory.events or oom_control.
func parseKey(text []byte, name string) (int64, bool) {
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		if len(line) > len(name)+1 && line[len(name)] == ' ' && string(line[:len(name)]) == name {
			return leadingInt(line[len(name)+1:])
		}
	}
	return 0, false
}

// leadingInt reads digits up to the first other byte; too many of them count as
// the largest number, as v1's "no limit" nearly does.
func leadingInt(text []byte) (n int64, ok bool) {
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	if end == 0 {
		return 0, false
	}
	n, _ = strconv.ParseInt(string(text[:end]), 10, 64) // the largest number on overflow
	return n, true
}
