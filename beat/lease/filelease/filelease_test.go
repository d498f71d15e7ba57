package filelease_test

import (
	"os"
	"path/filepath"
	"testing"

	"crisper/beat/lease"
	"crisper/beat/lease/filelease"
	"crisper/beat/lease/leasetest"
)

func TestAFileKeepsALease(t *testing.T) {
	leasetest.ExerciseInBubbles(t, func(t *testing.T) leasetest.Bed {
		path := filepath.Join(t.TempDir(), "lease")
		return leasetest.Bed{
			Open: func(t testing.TB) lease.Backend { return open(t, path) },
			Delete: func(t testing.TB) {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func open(t testing.TB, path string) *filelease.Backend {
	t.Helper()
	b, err := filelease.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}
