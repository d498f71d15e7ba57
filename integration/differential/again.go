package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// few differences that nobody wants are looked for a second time in a quick run: with
// four hundred cases on a machine that others use, chance has many chances.
const few = 5

// again plays everything once more when there are a few differences that are not
// wanted. Those that are there again count; the others are named as unsteady.
func (p *comparison) again(ctx context.Context, settings []setting, first []difference) ([]difference, error) {
	list, err := readWanted(filepath.Join(p.home, "wanted.txt"))
	if err != nil {
		return nil, err
	}
	bad := unwanted(list, first)
	if len(bad) == 0 || len(bad) > few {
		return first, nil
	}
	fmt.Fprintf(p.out, "%d differences are not wanted; once more\n", len(bad))
	second, err := p.differences(ctx, settings)
	if err != nil {
		return nil, err
	}
	both, once := meet(bad, unwanted(list, second))
	for _, d := range once {
		name := d.Setting + " | " + d.Case + " | " + d.Field
		fmt.Fprintf(p.out, "    UNSTEADY: %s (once in two runs: a defect of the case or of Crisper)\n  stock:\n%s\n  crisper:\n%s\n", name,
			indent(only(d.Stock, d.Crisper)), indent(only(d.Crisper, d.Stock)))
		if err := p.bed.Unsteady("differential: " + name); err != nil {
			return nil, err
		}
	}
	return both, nil
}

func unwanted(list []*wanted, all []difference) []difference {
	var bad []difference
	for _, d := range all {
		if _, ok := covers(list, d); !ok {
			bad = append(bad, d)
		}
	}
	return bad
}

// meet sorts the differences of two runs into those of both and those of one.
func meet(first, second []difference) (both, once []difference) {
	type place struct{ setting, name, field string }
	of := func(d difference) place { return place{d.Setting, d.Case, d.Field} }
	seen := map[place]bool{}
	for _, d := range first {
		seen[of(d)] = true
	}
	for _, d := range second {
		if seen[of(d)] {
			both = append(both, d)
			delete(seen, of(d))
		} else {
			once = append(once, d)
		}
	}
	for _, d := range first {
		if seen[of(d)] {
			once = append(once, d)
		}
	}
	return both, once
}
