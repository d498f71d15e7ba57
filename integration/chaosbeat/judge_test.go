package main

import (
	"testing"
	"time"
)

func testGrid() (*grid, time.Time) {
	at := time.Date(2026, 3, 29, 0, 59, 58, 123_456_000, time.UTC)
	return newGrid("s", map[string]time.Time{"second-1": at, "minute": at.Truncate(time.Minute)}), at
}

// ids are those of an entry's ticks after from, up to until.
func (g *grid) idsOf(entry string, from, until time.Time) map[string]int {
	g.grow(until)
	seen := map[string]int{}
	for id, p := range g.ticks {
		if p.line.entry == entry && p.due().After(from) && !p.due().After(until) {
			seen[id] = 1
		}
	}
	return seen
}

func TestTicksThatWereAllSentOnceAreFine(t *testing.T) {
	g, at := testGrid()
	seen := g.idsOf("second-1", at.Add(-2*time.Minute), at.Add(time.Minute))
	if v := judge(g, seen, at.Add(time.Minute)); v.Ticks != 180 || v.Missed+v.Doubled+v.Stray != 0 {
		t.Errorf("%+v", v)
	}
}

func TestAHoleIsMissedAndTheTimeBeforeTheFirstIsNot(t *testing.T) {
	g, at := testGrid()
	seen := g.idsOf("second-1", at, at.Add(10*time.Second))
	delete(seen, g.lines[1].ids[len(g.lines[1].ids)-4])
	if v := judge(g, seen, at.Add(10*time.Second)); v.Missed != 1 || v.Ticks != 10 || v.Doubled+v.Stray != 0 {
		t.Errorf("%+v", v)
	}
}

func TestWhatIsNotSentYetIsNotMissedUnlessItWasDue(t *testing.T) {
	g, at := testGrid()
	seen := g.idsOf("second-1", at, at.Add(10*time.Second))
	g.grow(at.Add(time.Minute))
	if v := judge(g, seen, at.Add(10*time.Second)); v.Missed != 0 {
		t.Errorf("%+v", v)
	}
	if v := judge(g, seen, at.Add(12*time.Second)); v.Missed != 2 {
		t.Errorf("%+v", v)
	}
}

func TestTheSameIDTwiceIsDoubledAndAnUnknownOneIsStray(t *testing.T) {
	g, at := testGrid()
	seen := g.idsOf("minute", at.Add(-time.Minute), at)
	for id := range seen {
		seen[id] = 2
	}
	seen["what is this"] = 1
	if v := judge(g, seen, at); v.Doubled != 1 || v.Stray != 1 || v.Missed != 0 {
		t.Errorf("%+v", v)
	}
}
