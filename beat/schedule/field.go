package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode"
)

// field is one of the five of a crontab.
type field struct {
	name     string
	min, max int
}

var (
	minutes  = field{"minute", 0, 59}
	hours    = field{"hour", 0, 23}
	days     = field{"day_of_month", 1, 31}
	months   = field{"month_of_year", 1, 12}
	weekdays = field{"day_of_week", 0, 6}
)

// set is a set of small numbers.
type set uint64

func (s set) has(n int) bool { return s>>n&1 == 1 }
func (s set) len() int       { return bits.OnesCount64(uint64(s)) }
func (s set) first() int     { return bits.TrailingZeros64(uint64(s)) }

func (f field) all() set {
	var s set
	for n := f.min; n <= f.max; n++ {
		s |= 1 << n
	}
	return s
}

// parse reads what Celery's crontab_parser reads, and refuses what it refuses.
//
// Celery: schedules.py crontab_parser (5.7). Its patterns are matched at the
// beginning of a part only, so that what follows a complete range or step is
// ignored: "1-5-7" is 1-5. Kept, as an app that starts there has to start here.
func (f field) parse(text string) (set, error) {
	var s set
	for part := range strings.SplitSeq(text, ",") {
		values, err := f.part(part)
		if err != nil {
			return 0, fmt.Errorf("cannot read %s %q: %w", f.name, text, err)
		}
		for _, n := range values {
			s |= 1 << n
		}
	}
	return s, nil
}

// part reads a number, a range, a star, or one of the latter with a step.
func (f field) part(text string) ([]int, error) {
	if text == "" {
		return nil, errors.New("a part is empty")
	}
	if rest, ok := strings.CutPrefix(text, "*/"); ok {
		step, _ := word(rest)
		return every(f.span(f.min, f.max), step)
	}
	if text == "*" || text == "*\n" {
		return f.span(f.min, f.max), nil
	}
	from, to, rest, ok := bounds(text)
	if !ok {
		n, err := f.number(text)
		return []int{n}, err
	}
	values, err := f.between(from, to)
	if err != nil {
		return nil, err
	}
	if rest, ok := strings.CutPrefix(rest, "/"); ok {
		step, _ := word(rest)
		return every(values, step)
	}
	return values, nil
}

// bounds splits "a-b" and what comes after.
func bounds(text string) (from, to, rest string, ok bool) {
	from, rest = word(text)
	rest, dash := strings.CutPrefix(rest, "-")
	to, rest = word(rest)
	return from, to, rest, from != "" && dash && to != ""
}

// between is the range; one that ends before it begins goes round the end.
func (f field) between(from, to string) ([]int, error) {
	a, err := f.number(from)
	if err != nil {
		return nil, err
	}
	b, err := f.number(to)
	if err != nil {
		return nil, err
	}
	if b < a {
		return append(f.span(a, f.max), f.span(f.min, b)...), nil
	}
	return f.span(a, b), nil
}

func (f field) span(from, to int) []int {
	values := make([]int, 0, 60)
	for n := from; n <= to; n++ {
		values = append(values, n)
	}
	return values
}

// every keeps the first of values and each step-th after it.
func every(values []int, step string) ([]int, error) {
	if step == "" {
		return nil, errors.New("the step is missing")
	}
	n, ok := integer(step)
	if !ok || n <= 0 {
		return nil, fmt.Errorf("%q is not a step", step)
	}
	kept := values[:0]
	for i := 0; i < len(values); i += n {
		kept = append(kept, values[i])
	}
	return kept, nil
}

// number reads a number or the name of a month or a weekday, in any field.
func (f field) number(text string) (int, error) {
	if strings.HasPrefix(text, "-") {
		return 0, fmt.Errorf("%q is negative", text)
	}
	n, ok := integer(text)
	if !ok {
		n, ok = named(text)
	}
	if !ok {
		return 0, fmt.Errorf("%q is neither a number nor a month nor a weekday", text)
	}
	if n < f.min || n > f.max {
		return 0, fmt.Errorf("%d is not from %d to %d", n, f.min, f.max)
	}
	return n, nil
}

var (
	monthNames = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	dayNames   = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// named finds a name by its first three letters.
func named(text string) (int, bool) {
	if len(text) < 3 {
		return 0, false
	}
	short := strings.Map(lower, text[:3])
	if i := slices.Index(monthNames, short); i >= 0 {
		return i + 1, true
	}
	i := slices.Index(dayNames, short)
	return i, i >= 0
}

// lower is for ASCII only: no other letter has a small form in a name.
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// word splits the longest beginning that Python's \w+ matches.
func word(text string) (head, rest string) {
	end := strings.IndexFunc(text, func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsNumber(r)
	})
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}

// large is more than any field holds. Larger numbers are not told apart.
const large = 1 << 20

// integer reads what Python's int() reads: spaces around, a sign, digits of any
// script, single underscores between them.
func integer(text string) (int, bool) {
	text = strings.TrimSpace(text)
	digits, negative := strings.CutPrefix(text, "-")
	if !negative {
		digits = strings.TrimPrefix(text, "+")
	}
	n, count, between := 0, 0, false
	for _, r := range digits {
		if r == '_' && between {
			between = false
			continue
		}
		d, ok := digit(r)
		if !ok {
			return 0, false
		}
		n = min(10*n+d, large)
		count, between = count+1, true
	}
	const mostDigits = 4300 // Python refuses to read more
	if negative {
		n = -n
	}
	return n, between && count <= mostDigits
}

// digit is the value of a decimal digit. The ranges of Unicode's Nd begin with a
// zero and hold whole tens.
func digit(r rune) (int, bool) {
	if r < 0x80 {
		return int(r - '0'), '0' <= r && r <= '9'
	}
	for _, in := range unicode.Nd.R16 {
		if rune(in.Lo) <= r && r <= rune(in.Hi) {
			return int(r-rune(in.Lo)) % 10, true
		}
	}
	for _, in := range unicode.Nd.R32 {
		if rune(in.Lo) <= r && r <= rune(in.Hi) {
			return int(r-rune(in.Lo)) % 10, true
		}
	}
	return 0, false
}
