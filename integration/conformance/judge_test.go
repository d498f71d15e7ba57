package main

import (
	"strings"
	"testing"
)

func trials(outcomes string) []trial {
	var all []trial
	for _, o := range strings.Fields(outcomes) {
		all = append(all, trial{Outcome: o})
	}
	return all
}

func TestCrisperMustPassWhatStockPasses(t *testing.T) {
	for _, row := range []struct{ stock, crisper, want string }{
		{"passed", "passed", same},
		{"passed", "failed", broken},
		{"passed", "skipped", broken},
		{"failed", "failed", notHeld},
		{"failed", "passed", ahead},
		{"skipped", "skipped", skipped},
		{"xfailed", "failed", expected},
		{"xpassed", "passed", same},
		{"xpassed", "failed", broken},
		{"passed passed passed", "passed failed passed", broken},
		{"passed failed passed", "passed failed failed", unsteady},
		{"passed failed failed", "failed failed failed", broken},
		{"passed", "", unmeasure},
		{"", "passed", unmeasure},
	} {
		one := &test{Stock: trials(row.stock), Crisper: trials(row.crisper)}
		if got := judge(one, false); got != row.want {
			t.Errorf("stock %q, crisper %q: %s, want %s", row.stock, row.crisper, got, row.want)
		}
	}
}

func TestARunThatWasCutShortDoesNotPass(t *testing.T) {
	r := report{Tests: []*test{{ID: "a", Stock: trials("passed"), Verdict: unmeasure}}}
	if r.verdict() == nil {
		t.Error("half a run was taken for a whole one")
	}
	r.Side = stockSide
	if err := r.verdict(); err != nil {
		t.Errorf("a run of one side was judged: %v", err)
	}
}

func TestTheTestsOfBothSidesMeetInOneRow(t *testing.T) {
	var r report
	code := 1
	events := []event{
		{Event: "chosen", Test: "a", Worker: true}, {Event: "left out", Test: "b"},
		{Event: "test", Test: "a", Outcome: "passed"}, {Event: "worker died", Test: "a", Code: &code},
	}
	r.add(stockSide, events)
	r.add(crisperSide, events)
	if len(r.Tests) != 1 || len(r.Tests[0].Stock) != 1 || len(r.Tests[0].Crisper) != 1 || !r.Tests[0].Worker {
		t.Errorf("the tests are %+v", r.Tests[0])
	}
	if len(r.LeftOut) != 1 || len(r.Endings) != 2 || *r.Endings[1].Code != 1 {
		t.Errorf("left out %v, endings %v", r.LeftOut, r.Endings)
	}
}

func TestEveryTestThatDoesNotApplyHasItsReason(t *testing.T) {
	all, err := readReasons("not_applicable.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, one := range all {
		if seen[one.ID] {
			t.Errorf("%s is listed twice", one.ID)
		}
		seen[one.ID] = true
	}
}

func TestTheQuickChoiceTakesTheCheapestWithinItsBudget(t *testing.T) {
	costs := map[string]float64{"dear": 50, "cheap": 1, "middling": 5, "free": 0.1}
	got := strings.Join(cheapest(costs, 6.2), " ")
	if got != "cheap free middling" {
		t.Errorf("the choice is %q", got)
	}
}

func TestWhatPassesWhenRunAgainIsUnsteadyAndWhatNeverPassesIsBroken(t *testing.T) {
	for _, row := range []struct{ crisper, want string }{
		{"failed passed passed", unsteady},
		{"failed failed passed", unsteady},
		{"failed failed failed", broken},
	} {
		one := &test{Again: true, Stock: trials("passed passed passed"), Crisper: trials(row.crisper)}
		if got := judge(one, false); got != row.want {
			t.Errorf("crisper %q: %s, want %s", row.crisper, got, row.want)
		}
	}
}

func TestAnUnsteadyTestCountsWhenItIsNeverPassed(t *testing.T) {
	for _, row := range []struct{ stock, crisper, want string }{
		{"passed", "failed", unsteady},
		{"passed", "passed", same},
		{"passed passed passed", "failed passed failed", unsteady},
		{"passed passed passed", "failed failed failed", broken},
	} {
		one := &test{Stock: trials(row.stock), Crisper: trials(row.crisper)}
		if got := judge(one, true); got != row.want {
			t.Errorf("stock %q, crisper %q: %s, want %s", row.stock, row.crisper, got, row.want)
		}
	}
	if !listed([]reason{{ID: "f::t"}}, "f::t[1-2]") || listed([]reason{{ID: "f::t"}}, "f::test") {
		t.Error("a test in a list does not stand for its parameters, or for others too")
	}
}
