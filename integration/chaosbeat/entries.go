package main

import (
	"maps"
	"slices"
	"time"

	"crisper/beat"
)

// periods are the entries of app/ticks.py.
var periods = map[string]time.Duration{
	"pulse": 200 * time.Millisecond, "second-1": time.Second, "second-2": time.Second, "second-3": time.Second,
	"second-4": time.Second, "second-asked": time.Second, "minute": time.Minute, "minute-of-others": time.Minute,
}

// grid is every tick that is due, by the id of its task. It grows as time goes on.
type grid struct {
	schedule string
	lines    []*line
	ticks    map[string]place
}

// line is one entry: its due moments are all at the same distance.
type line struct {
	entry string
	first time.Time
	every time.Duration
	ids   []string // of the first, the second, … due moment
}

// place says which tick an id is.
type place struct {
	line *line
	at   int
}

func (p place) due() time.Time { return p.line.due(p.at) }

func (l *line) due(i int) time.Time { return l.first.Add(time.Duration(i) * l.every) }

// before is how much earlier than the known due moment the grid begins: ticks were
// sent before we could ask.
const before = 5 * time.Minute

// newGrid needs one due moment of each entry.
func newGrid(schedule string, known map[string]time.Time) *grid {
	g := &grid{schedule: schedule, ticks: map[string]place{}}
	for _, entry := range slices.Sorted(maps.Keys(known)) {
		every := periods[entry]
		g.lines = append(g.lines, &line{entry: entry, first: known[entry].Add(-before / every * every), every: every})
	}
	return g
}

// grow adds the ticks up to a moment.
func (g *grid) grow(until time.Time) {
	for _, l := range g.lines {
		for i := len(l.ids); !l.due(i).After(until); i++ {
			id := beat.TaskID(g.schedule, l.entry, l.due(i))
			l.ids = append(l.ids, id)
			g.ticks[id] = place{l, i}
		}
	}
}
