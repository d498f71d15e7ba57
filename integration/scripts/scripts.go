// Package scripts plays the stories of state machines: testdata/*.txt, in which
// commands and what came of them alternate.
//
//	go test ./supervisor/pool -rewrite     # write what happens now; read the diff
package scripts

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write what happens now into testdata/*.txt")

// longest is how many lines a story may have: more than fit on a page are two stories.
const longest = 80

// Play replays every script of the package under test. replay carries out the commands
// of a script and returns it as it would be if what came of them were right.
func Play(t *testing.T, replay func(t *testing.T, script string) string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { play(t, file, replay) })
	}
}

func play(t *testing.T, file string, replay func(t *testing.T, script string) string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(want, []byte("# ")) || bytes.Count(want, []byte("\n")) >= longest {
		t.Errorf("a script begins with a comment that tells its story, and has less than %d lines", longest)
	}
	got := replay(t, string(want))
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("something else happens (-script +now):\n%s", d)
	}
}
