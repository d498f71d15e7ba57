package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheBookReadsOnlyWholeNewLinesAndPairsEndsWithTheirProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	b := newBook(path, nil)
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := b.refresh(); err != nil {
			t.Fatal(err)
		}
	}
	add(`{"event": "start", "id": "a", "pid": 1, "wall": 5}` + "\n" + `{"event": "start", "id": "a", `)
	if len(b.runs["a"]) != 1 || len(b.running([]string{"a"})) != 1 {
		t.Fatalf("after half a line: %+v", b.runs)
	}
	add(`"pid": 2, "wall": 6}` + "\n" + `{"event": "end", "id": "a", "pid": 2, "wall": 7, "outcome": "ok"}` + "\n")
	all := b.runs["a"]
	if len(all) != 2 || !all[0].end.IsZero() || all[1].end.IsZero() || !b.ended("a") || len(b.running([]string{"a"})) != 0 {
		t.Fatalf("the end belongs to the second process: %+v", all)
	}
	add(`{"event": "start", "id": "b", "pid": 3, "wall": 8}` + "\n" + `{"event": "end", "id": "b", "pid": 3, "wall": 9, "outcome": "SystemExit"}` + "\n")
	if b.ended("b") {
		t.Error("a task that an exception took away has not ended")
	}
}
