package main

import "testing"

func TestADifferenceOfOneRunInTwoIsUnsteadyAndOneOfBothIsNot(t *testing.T) {
	at := func(name string) difference {
		return difference{Setting: "s", Case: name, Field: "events", Stock: "a", Crisper: "b"}
	}
	both, once := meet([]difference{at("first"), at("both")}, []difference{at("both"), at("second")})
	if len(both) != 1 || both[0].Case != "both" {
		t.Errorf("of both runs: %+v", both)
	}
	if len(once) != 2 || once[0].Case != "second" || once[1].Case != "first" {
		t.Errorf("of one run: %+v", once)
	}
}
