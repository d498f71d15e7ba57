package main

import (
	"testing"
)

func one(field string, value any) record {
	return record{"case": {field: value}}
}

func TestEachFieldIsComparedAndListsAsAWhole(t *testing.T) {
	for _, row := range []struct {
		name           string
		stock, crisper record
		want           string // the field; empty: no difference
	}{
		{"the same", one("backend", map[string]any{"status": "SUCCESS"}), one("backend", map[string]any{"status": "SUCCESS"}), ""},
		{"a value", one("backend", map[string]any{"status": "SUCCESS"}), one("backend", map[string]any{"status": "FAILURE"}), "backend/status"},
		{"the order of a list", one("events", []any{"a", "b"}), one("events", []any{"b", "a"}), "events"},
		{"a case that one side does not have", one("events", []any{"a"}), record{}, "events"},
		{"nothing and an empty list", one("events", []any{}), record{}, ""},
		{"null and missing", one("backend", map[string]any{"group": nil}), one("backend", map[string]any{}), "backend/group"},
	} {
		t.Run(row.name, func(t *testing.T) {
			found := compare("", row.stock, row.crisper)
			if row.want == "" && len(found) != 0 || row.want != "" && (len(found) != 1 || found[0].Field != row.want) {
				t.Errorf("found %+v, want %q", found, row.want)
			}
		})
	}
}

func TestADifferenceIsWantedOnlyAsAWhole(t *testing.T) {
	w, err := parseWanted(map[string]string{"case": `hard\..*`, "field": "runs", "stock": ".*twice.*", "crisper": "", "why": "once"})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		d    difference
		want bool
	}{
		{"the wanted line", difference{Case: "hard.late", Field: "runs", Stock: "run\ntwice", Crisper: "run"}, true},
		{"another case", difference{Case: "soft.late", Field: "runs", Stock: "run\ntwice", Crisper: "run"}, false},
		{"another field", difference{Case: "hard.late", Field: "log", Stock: "run\ntwice", Crisper: "run"}, false},
		{"more than the wanted line", difference{Case: "hard.late", Field: "runs", Stock: "run\ntwice", Crisper: ""}, false},
		{"a line that only Crisper has", difference{Case: "hard.late", Field: "runs", Stock: "run\ntwice", Crisper: "run\nmore"}, false},
		{"an order that nobody wants", difference{Case: "hard.late", Field: "runs", Stock: "a\nb", Crisper: "b\na"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, ok := covers([]*wanted{w}, row.d); ok != row.want {
				t.Errorf("wanted: %t", ok)
			}
		})
	}
}

func TestAnotherOrderIsWantedOnlyWhereItIsSaidAndOfTheSameLines(t *testing.T) {
	w, err := parseWanted(map[string]string{"case": `retry\..*`, "field": "events", "order": "any", "why": "two processes"})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		d    difference
		want bool
	}{
		{"another order", difference{Case: "retry.late", Field: "events", Stock: "a\nb", Crisper: "b\na"}, true},
		{"another line", difference{Case: "retry.late", Field: "events", Stock: "a\nb", Crisper: "b\nc"}, false},
		{"another case", difference{Case: "soft.late", Field: "events", Stock: "a\nb", Crisper: "b\na"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, ok := covers([]*wanted{w}, row.d); ok != row.want {
				t.Errorf("wanted: %t", ok)
			}
		})
	}
}

func TestEveryWantedDifferenceHasItsReason(t *testing.T) {
	all, err := readWanted("wanted.txt")
	if err != nil || len(all) == 0 {
		t.Fatalf("%d wanted differences, %v", len(all), err)
	}
	if _, err := parseWanted(map[string]string{"case": ".*"}); err == nil {
		t.Error("a difference without a reason was accepted")
	}
}
