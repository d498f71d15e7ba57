package pool_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crisper/supervisor/pool/script"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write what the pool does now into testdata/*.txt")

func TestThePoolDoesWhatTheScriptsTell(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(want, []byte("# ")) {
				t.Error("a script begins with a comment that tells its story")
			}
			if n := bytes.Count(want, []byte("\n")); n >= 80 {
				t.Errorf("a script is short: %d lines", n)
			}
			var got bytes.Buffer
			if err := script.Run(bytes.NewReader(want), &got); err != nil {
				t.Fatal(err)
			}
			if *rewrite {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("the pool does something else (-script +pool):\n%s", d)
			}
		})
	}
}
