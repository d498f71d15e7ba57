package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// Broken tests of a quick run are run in more rounds, on both sides, when they are
// few: make test shares its machine, and several of Celery's tests wait two seconds
// for something. What passes then is unsteady, and said so, and a defect.
const (
	fewBroken   = 3
	againRounds = 2
)

// again runs the broken tests of a quick run once more, and judges anew.
func (r *runner) again(ctx context.Context, s settings, into *report) error {
	into.finish()
	ids := into.brokenOnes()
	if len(ids) == 0 || len(ids) > fewBroken {
		return nil
	}
	r.say("run again, %d rounds: %s", againRounds, strings.Join(ids, " "))
	r.only = r.bed.Path("again.txt")
	if err := os.WriteFile(r.only, []byte(strings.Join(ids, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("cannot write the choice of tests: %w", err)
	}
	for _, id := range ids {
		into.test(id).Again = true
	}
	for number := s.repeat + 1; number <= s.repeat+againRounds && ctx.Err() == nil; number++ {
		if err := r.round(ctx, number, s.sides(), into); err != nil {
			return err
		}
	}
	into.finish()
	return r.tell(into)
}

func (r *runner) tell(of *report) error {
	for _, t := range of.Tests {
		if t.Again && t.Verdict == unsteady {
			r.say("    UNSTEADY: %s (failed with Crisper, passed when run again: a defect of the test or of Crisper)", t.ID)
			if err := r.bed.Unsteady("conformance: " + t.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *report) brokenOnes() []string {
	var ids []string
	for _, t := range r.Tests {
		if t.Verdict == broken {
			ids = append(ids, t.ID)
		}
	}
	return ids
}
