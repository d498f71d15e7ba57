package pool

import (
	"fmt"
	"slices"
	"time"
)

// Legal says whether the transition table has this move.
func Legal(from, to State) bool { return slices.Contains(moves[from], to) }

// Check compares what the pool knows twice, and its wake with its deadlines.
func (p *Pool) Check(now time.Time) error {
	listed := map[ChildID]bool{}
	for _, s := range p.slots {
		for _, c := range slices.Concat([]*child{s.seat, s.next}, s.leaving) {
			switch {
			case c == nil:
				continue
			case listed[c.id]:
				return fmt.Errorf("child %d is in two places", c.id)
			case c.slot != s || p.children[c.id] != c:
				return fmt.Errorf("child %d of slot %d is in slot %d", c.id, c.slot.id, s.id)
			}
			listed[c.id] = true
		}
		if s.seat != nil && s.idle != Empty {
			return fmt.Errorf("slot %d has child %d and is %s", s.id, s.seat.id, s.idle)
		}
		if s.seat == nil && s.next != nil {
			return fmt.Errorf("slot %d has a replacement and no child", s.id)
		}
	}
	if len(listed) != len(p.children) {
		return fmt.Errorf("%d children have a place, of %d", len(listed), len(p.children))
	}
	if at := p.earliest(now); !p.drained && !at.IsZero() && (p.wake.IsZero() || p.wake.After(at)) {
		return fmt.Errorf("the wake %s is after the deadline %s", p.wake, at)
	}
	return nil
}
