package program

import (
	"path/filepath"
	"testing"
)

func TestWhatWasKeptIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "found.json")
	if err := Keep(path, map[string]int{"lost": 2}); err != nil {
		t.Fatal(err)
	}
	var found map[string]int
	if err := Kept(path, &found); err != nil || found["lost"] != 2 {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestNothingIsKeptWhereNobodyAskedForIt(t *testing.T) {
	if err := Keep("", 1); err != nil {
		t.Error(err)
	}
	if err := Kept(filepath.Join(t.TempDir(), "none"), new(int)); err == nil {
		t.Error("a file that is not there was read")
	}
}
