package main

import "fmt"

// The verdicts.
const (
	same      = "same"             // both pass
	broken    = "BROKEN"           // stock passes and Crisper does not: the rule is broken
	unsteady  = "unsteady"         // stock does not always pass, nor need Crisper
	notHeld   = "stock fails too"  // stock never passes, and so does Crisper
	ahead     = "stock fails"      // stock never passes, Crisper does
	skipped   = "skipped"          // the test itself says that it does not apply here
	unmeasure = "one side only"    // -side, or the run was cut short before both had it
	expected  = "expected failure" // the test is marked as known to fail, and does
)

// roundsToBeSure is how often Crisper may fail a test that is known to be unsteady.
const roundsToBeSure = 3

// judge compares the two sides of one test. What is known to be unsteady has to be
// failed in several rounds, and never passed, before it counts.
func judge(t *test, known bool) string {
	verdict := compare(t)
	if t.Again && verdict == broken && passes(t.Crisper) > 0 {
		return unsteady
	}
	if known && verdict == broken && (passes(t.Crisper) > 0 || len(t.Crisper) < roundsToBeSure) {
		return unsteady
	}
	return verdict
}

func compare(t *test) string {
	s, c := passes(t.Stock), passes(t.Crisper)
	switch {
	case len(t.Stock) == 0 || len(t.Crisper) == 0:
		return unmeasure
	case all(t.Stock, "skipped") && all(t.Crisper, "skipped"):
		return skipped
	case all(t.Stock, "xfailed"):
		return expected
	case s == len(t.Stock) && c == len(t.Crisper):
		return same
	case s == len(t.Stock), s > 0 && c == 0:
		return broken
	case s > 0:
		return unsteady
	case c > 0:
		return ahead
	}
	return notHeld
}

func passes(trials []trial) int {
	n := 0
	for _, t := range trials {
		if t.passed() {
			n++
		}
	}
	return n
}

func all(trials []trial, outcome string) bool {
	for _, t := range trials {
		if t.Outcome != outcome {
			return false
		}
	}
	return true
}

// outcome is a cell of the table.
func outcome(trials []trial) string {
	if len(trials) == 0 {
		return "–"
	}
	for _, same := range []string{"passed", "failed", "skipped", "xfailed", "xpassed"} {
		if all(trials, same) {
			return same
		}
	}
	return fmt.Sprintf("passed %d of %d", passes(trials), len(trials))
}

// verdict says whether the run as a whole keeps the rule.
func (r report) verdict() error {
	n := r.count(broken)
	if n == 0 && r.complete() {
		return nil
	}
	if n == 0 {
		return fmt.Errorf("the run was cut short: %d tests have no result on one of the sides", r.count(unmeasure))
	}
	return fmt.Errorf("crisper fails %d tests that stock Celery passes", n)
}

func (r report) complete() bool { return r.Side != "" || r.count(unmeasure) == 0 }

func (r report) count(verdict string) int {
	n := 0
	for _, t := range r.Tests {
		if t.Verdict == verdict {
			n++
		}
	}
	return n
}
