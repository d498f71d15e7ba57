package message

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kind is what stands in a gap.
type kind byte

const (
	markID     kind = 'I'
	markTag    kind = 'T'
	markInner  kind = 'B'
	markMoment kind = 'M'
)

// sub opens and closes a mark. JSON escapes it, so no text of Celery's has it.
const sub = '\x1a'

// gap is a mark and the text before it.
type gap struct {
	before string
	kind   kind
	delay  time.Duration
}

// template is a text with gaps.
type template struct {
	gaps []gap
	tail string
}

// maxDelay keeps moments within what isoformat writes in four digits.
const maxDelay = 250 * 365 * 24 * time.Hour

// read takes the marked text apart.
func (t *template) read(part, text string) error {
	if strings.IndexByte(text, sub) < 0 {
		t.tail = text
		return nil
	}
	t.gaps = make([]gap, 0, strings.Count(text, string(sub))/2)
	for {
		before, rest, marked := strings.Cut(text, string(sub))
		if !marked {
			t.tail = text
			return nil
		}
		mark, after, closed := strings.Cut(rest, string(sub))
		if !closed {
			return fmt.Errorf("%s: a mark is not closed", part)
		}
		g, err := parseMark(mark)
		if err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		g.before, text = before, after
		t.gaps = append(t.gaps, g)
	}
}

func parseMark(mark string) (gap, error) {
	if mark == "" {
		return gap{}, errors.New("a mark is empty")
	}
	g := gap{kind: kind(mark[0])}
	switch {
	case g.kind == markMoment:
		micro, err := strconv.ParseInt(mark[1:], 10, 64)
		if limit := int64(maxDelay / time.Microsecond); err != nil || micro < -limit || micro > limit {
			return gap{}, fmt.Errorf("the moment %.40q is not a number of microseconds, or too far", mark[1:])
		}
		g.delay = time.Duration(micro) * time.Microsecond
		return g, nil
	case len(mark) == 1 && (g.kind == markID || g.kind == markTag || g.kind == markInner):
		return g, nil
	}
	return gap{}, fmt.Errorf("the mark %.20q is not known", mark)
}

func (t *template) none() bool { return t.tail == "" && len(t.gaps) == 0 }

func (t *template) has(k kind) bool {
	for i := range t.gaps {
		if t.gaps[i].kind == k {
			return true
		}
	}
	return false
}
