package main

import (
	"fmt"
	"time"
)

// verdict counts what became of the ticks.
type verdict struct {
	Ticks   int `json:"ticks"`
	Missed  int `json:"missed"`
	Doubled int `json:"doubled"`
	Stray   int `json:"stray"`
	bad     []string
}

// judge applies the rules of doc.go to all ticks that were due by a moment, given how
// often each task id was seen. Nothing is said of later ones but that they may not be doubled.
func judge(g *grid, seen map[string]int, until time.Time) verdict {
	var v verdict
	g.grow(until)
	for _, l := range g.lines {
		begun := false
		for i, id := range l.ids {
			n := seen[id]
			begun = begun || n > 0
			if !begun {
				continue // it had not been registered yet
			}
			v.Ticks += min(1, n)
			switch {
			case n == 0 && !l.due(i).After(until):
				v.Ticks++
				v.Missed++
				v.say("missed", l, i)
			case n > 1:
				v.Doubled++
				v.say("doubled", l, i)
			}
		}
	}
	for id := range seen {
		if _, known := g.ticks[id]; !known {
			v.Stray++
			v.bad = append(v.bad, "stray "+id)
		}
	}
	return v
}

func (v *verdict) say(what string, l *line, i int) {
	v.bad = append(v.bad, fmt.Sprintf("%s %s %s %s", what, l.entry, l.due(i).UTC().Format(time.RFC3339Nano), l.ids[i]))
}
