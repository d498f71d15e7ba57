package main

import (
	"reflect"
	"testing"
	"time"
)

// at is a moment of a trial, in seconds; the fault strikes at 10.
func at(seconds float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func cut(start float64) attempt        { return attempt{pid: 1, start: at(start)} }
func whole(start, end float64) attempt { return attempt{pid: 2, start: at(start), end: at(end)} }
func runs(all ...attempt) []attempt    { return all }

func TestTheVerdictFollowsFromWhatTasksWroteAndWhatWasRecorded(t *testing.T) {
	const early, late = false, true
	held := map[string]bool{"x": true}
	for _, c := range []struct {
		name string
		late bool
		runs []attempt
		seen record
		want verdict
		held map[string]bool
	}{
		{"an early task that ended is fine", early, runs(whole(9, 11)), record{}, verdict{}, nil},
		{"an early task that was cut off and recorded is fine", early, runs(cut(9)), record{failure, at(11)}, verdict{Recorded: 1}, nil},
		{"an early task that was accepted, never begun and recorded is fine", early, nil, record{failure, at(11)}, verdict{Recorded: 1}, nil},
		{"an early task that was cut off and not recorded is lost", early, runs(cut(9)), record{}, verdict{Lost: 1}, nil},
		{"an early task that was never begun is lost", early, nil, record{}, verdict{Lost: 1}, nil},
		{"an early task that was begun again is doubled, even when it was cut off", early, runs(cut(9), whole(11, 12)), record{}, verdict{Doubled: 1}, nil},
		{"an early task that ended and is on record as failed ran all the same", early, runs(whole(8, 9.999)), record{failure, at(11)}, verdict{}, nil},
		{"a late task that was cut off and run again is fine", late, runs(cut(9), whole(11, 12)), record{}, verdict{Rerun: 1}, nil},
		{"a late task that never ended is lost", late, runs(cut(9), cut(11)), record{}, verdict{Lost: 1, Rerun: 1}, nil},
		{"a late task that ended twice is doubled", late, runs(whole(8, 9), whole(11, 12)), record{success, at(9.1)}, verdict{Doubled: 1}, nil},
		{"a late task whose first end the broker could not have heard of is run again", late, runs(whole(9, 9.99), whole(11, 12)), record{success, at(9.995)}, verdict{Again: 1}, nil},
		{"a late task that was killed before it had stored its result is run again", late, runs(whole(8, 9.9), whole(11, 12)), record{success, at(12)}, verdict{Again: 1}, nil},
		{"a late task whose message the broker still held is run again", late, runs(whole(8, 9.5), whole(11, 12)), record{success, at(9.6)}, verdict{Again: 1}, held},
		{"a late task whose message the broker had no more is doubled", late, runs(whole(8, 9.9), whole(11, 12)), record{success, at(12)}, verdict{Doubled: 1}, map[string]bool{}},
		{"a late task that was acknowledged too late is doubled", late, runs(whole(8, 8.9), whole(11, 12)), record{success, at(9)}, verdict{Doubled: 1}, held},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge([]sent{{"x", c.late}}, map[string][]attempt{"x": c.runs}, map[string]record{"x": c.seen}, struck{at(10), c.held, strict, evidence{}})
			c.want.Tasks, got.bad = 1, nil
			if got.Lost != c.want.Lost || got.Doubled != c.want.Doubled || got.Again != c.want.Again ||
				got.Recorded != c.want.Recorded || got.Rerun != c.want.Rerun {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestWhatCelerysOwnClientDidIsCountedApartAndNothingElse(t *testing.T) {
	yes, no := func(string) bool { return true }, func(string) bool { return false }
	gone, twice := map[string][]attempt{}, map[string][]attempt{"x": runs(whole(8, 9), whole(11, 12))}
	for _, c := range []struct {
		name     string
		late     bool
		runs     map[string][]attempt
		evidence evidence
		want     verdict
	}{
		{"lost by kombu", false, gone, evidence{yes, no}, verdict{CelerysLost: 1}},
		{"late, lost by kombu", true, gone, evidence{yes, no}, verdict{CelerysLost: 1}},
		{"lost, and not by kombu", false, gone, evidence{no, yes}, verdict{Lost: 1}},
		{"lost, without evidence", false, gone, evidence{}, verdict{Lost: 1}},
		{"doubled by kombu", false, twice, evidence{no, yes}, verdict{CelerysDoubled: 1}},
		{"late, doubled by kombu", true, twice, evidence{no, yes}, verdict{CelerysDoubled: 1}},
		{"doubled, and not by kombu", false, twice, evidence{yes, no}, verdict{Doubled: 1}},
		{"late, doubled, and not by kombu", true, twice, evidence{yes, no}, verdict{Doubled: 1, DoubledLate: 1}},
		{"doubled, without evidence", false, twice, evidence{}, verdict{Doubled: 1}},
	} {
		got := judge([]sent{{"x", c.late}}, c.runs, map[string]record{"x": {success, at(9.01)}}, struck{at(10), nil, strict, c.evidence})
		c.want.Tasks, got.bad = 1, nil
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestOnABusyMachineASettlementMayBeLateButNothingMayBeLostOrRunForNoReason(t *testing.T) {
	slow := map[string][]attempt{"x": runs(whole(9, 9.7), whole(11, 12))}
	stored := map[string]record{"x": {success, at(9.75)}}
	if v := judge([]sent{{"x", true}}, slow, stored, struck{at(10), nil, strict, evidence{}}); v.Doubled != 1 {
		t.Errorf("on a quiet machine: %+v, want doubled", v)
	}
	if v := judge([]sent{{"x", true}}, slow, stored, struck{at(10), nil, onABusyMachine, evidence{}}); v.Again != 1 || v.Doubled != 0 {
		t.Errorf("on a busy machine: %+v, want run again", v)
	}
	if v := judge([]sent{{"x", true}}, slow, stored, struck{at(10), map[string]bool{"x": false}, onABusyMachine, evidence{}}); v.Doubled != 1 {
		t.Errorf("when the broker had heard of it: %+v, want doubled", v)
	}
	early := map[string][]attempt{"x": runs(whole(8, 8.1), whole(11, 12))}
	if v := judge([]sent{{"x", true}}, early, stored, struck{at(10), nil, onABusyMachine, evidence{}}); v.Doubled != 1 {
		t.Errorf("long before the fault: %+v, want doubled", v)
	}
	if v := judge([]sent{{"x", false}}, map[string][]attempt{"x": runs(cut(9))}, nil, struck{at(10), nil, onABusyMachine, evidence{}}); v.Lost != 1 {
		t.Errorf("cut off and not recorded: %+v, want lost", v)
	}
}
