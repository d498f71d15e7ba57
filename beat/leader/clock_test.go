package leader

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheClockOfTheStoreIsRight(t *testing.T) {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	own, store, precision := start, start.Add(-time.Hour), time.Duration(0)
	var away error
	c := clock{own: func() time.Time { return own }, ask: func(context.Context) (time.Time, time.Duration, error) { return store, precision, away }}
	look := func(what string, want time.Time) {
		t.Helper()
		if err := c.sync(t.Context()); !errors.Is(err, away) {
			t.Errorf("%s: %v", what, err)
		}
		if got := c.now(); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	pass := func(d time.Duration) { own, store = own.Add(d), store.Add(d) }

	if got := c.now(); !got.Equal(own) {
		t.Errorf("before the first answer: %s", got)
	}
	look("an hour ahead", store)
	pass(time.Minute)
	look("a minute later", store)
	before := c.now()
	store = store.Add(3 * time.Millisecond)
	look("a difference that may be the way's", before)
	store = store.Add(time.Second)
	look("the store's clock was set", store)
	away = errors.New("away")
	pass(time.Minute)
	look("no answer: it runs on", store)

	away, precision = nil, time.Second/2
	c.known = false
	store = own.Add(400 * time.Millisecond)
	look("an answer that is not exact enough to find us wrong", own)
	store = own.Add(time.Hour)
	look("one that is", store)
}

func TestAWatchedMountIsSeenToChange(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(version, text string) {
		t.Helper()
		must(os.MkdirAll(filepath.Join(dir, version), 0o755))
		must(os.WriteFile(filepath.Join(dir, version, "schedule.py"), []byte(text), 0o644))
	}
	// As the kubelet does it: a link to a folder of the day, and links to files through it.
	write("..1", "same")
	must(os.Symlink("..1", filepath.Join(dir, "..data")))
	must(os.Symlink("..data/schedule.py", filepath.Join(dir, "schedule.py")))
	file, folder := []string{filepath.Join(dir, "schedule.py")}, []string{dir}
	one, all := fingerprint(file), fingerprint(folder)
	if one != fingerprint(file) || all != fingerprint(folder) {
		t.Error("it differs although nothing has changed")
	}
	write("..2", "same")
	must(os.Symlink("..2", filepath.Join(dir, "..new")))
	must(os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
	if one == fingerprint(file) {
		t.Error("a replaced mount is not seen by its file")
	}
	if all == fingerprint(folder) {
		t.Error("a replaced mount is not seen by its folder")
	}
	none := fingerprint([]string{filepath.Join(dir, "none")})
	write(".", "x")
	if none == fingerprint(file) {
		t.Error("a file that has come is not seen")
	}
}
