package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyTicksThatALeaderNamesAsInDoubtMayBeDoubled(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"beat-0.log": `{"message":"ticks of the former leader are in doubt; they are sent again with the same task ids","ticks":18,"first":"pulse"}` + "\n",
		"beat-1-2.log": `{"message":"cannot publish; trying again","ticks":9}` + "\n" +
			`{"message":"ticks of the former leader are in doubt; they are sent again with the same task ids","ticks":2,"first":"a"}` + "\n",
		"rabbitmq.log": `"ticks of the former leader are in doubt","ticks":100`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		row     row
		doubled int
		clean   bool
	}{
		{row{MayDouble: true, Named: true}, 20, true},
		{row{MayDouble: true, Named: true}, 21, false},
		{row{Named: true}, 1, false}, // Redis
		{row{MayDouble: true}, 21, true},
	} {
		r := c.row
		r.add(verdict{Doubled: c.doubled})
		if err := r.readDoubts(dir); err != nil {
			t.Fatal(err)
		}
		if r.Doubt != 20 || r.clean() != c.clean {
			t.Errorf("%d doubled, %d in doubt: clean is %v", c.doubled, r.Doubt, r.clean())
		}
	}
	if err := new(row).readDoubts(t.TempDir()); err == nil {
		t.Error("a set without logs says nothing of doubts, and that is no error")
	}
}
