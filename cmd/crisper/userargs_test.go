package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOptionsOfTheAppsOwnReachTheApp(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"worker -A proj --shiny", "--shiny"},
		{"worker -A proj --shiny yes -c 3", "--shiny yes"},
		{"worker -A proj -c3 --shiny=yes -E x=y", "x=y --shiny=yes"},
		{"-A proj worker -Z 4 --grace=3", "-Z 4"},
		{"worker --shiny -A proj -- --more less", "--shiny --more less"},
		{"worker -A proj -Q shiny -n --not-ours", ""},
		{"worker -A proj a=1 b=2", "a=1 b=2"},
		{"worker -A proj --discard --events", ""},
	} {
		tr := newTrial(nil)
		if code := tr.do(t, strings.Fields(test.line)...); code != 0 || len(tr.started) != 1 {
			t.Errorf("%s: exit code %d: %s", test.line, code, tr.err.String())
			continue
		}
		if diff := cmp.Diff(test.want, strings.Join(tr.started[0].Agent.Extra, " ")); diff != "" {
			t.Errorf("%s: %s", test.line, diff)
		}
		if tr.started[0].Agent.App != "proj" {
			t.Errorf("%s: the app is %q", test.line, tr.started[0].Agent.App)
		}
	}
}
