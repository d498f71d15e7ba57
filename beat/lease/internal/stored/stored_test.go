package stored_test

import (
	"testing"
	"time"

	"crisper/beat/lease/election"
	"crisper/beat/lease/internal/stored"
)

func TestNoTwoTextsOfARecordAreEqual(t *testing.T) {
	r := election.Record{Holder: "a", Token: 1 << 60, Duration: 6 * time.Second, Renewed: time.Unix(1, 0)}
	one, err := stored.Encode(r, true)
	if err != nil {
		t.Fatal(err)
	}
	if two, _ := stored.Encode(r, true); one == two {
		t.Errorf("both are %s", one)
	}
	got, locked, err := stored.Decode(one)
	if err != nil || !locked || got.Token != r.Token || got.Holder != r.Holder || got.Duration != r.Duration || got.Version != one {
		t.Errorf("%+v, %v, %v", got, locked, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("")
	f.Add(`{"holder":"a","token":1,"duration_seconds":6,"renewed":"2026-01-01T00:00:00Z","write":"00"}`)
	f.Add(`{"token":-1}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, _, err := stored.Decode(text)
		if err == nil && r.Version != text {
			t.Errorf("version %q of %q", r.Version, text)
		}
	})
}
