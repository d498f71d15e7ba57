package amqpbeat

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAStateIsReadAsItWasWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // chance for tests
	s := emptyState()
	for step := range 300 {
		s.token++
		switch r.IntN(10) {
		case 0:
			s.drop(fmt.Sprint("e", r.IntN(40)))
		default:
			s.set(fmt.Sprint("e", r.IntN(40)), kept{r.Int64N(1 << 52), r.Int64()})
		}
		s.claims = []claim{{"größe", 1 << 52, "id"}}[:r.IntN(2)]
		read, err := decode(s.encode())
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if diff := cmp.Diff(s.records, read.records, cmp.AllowUnexported(kept{})); diff != "" || read.token != s.token || len(read.claims) != len(s.claims) {
			t.Fatalf("step %d: %s", step, diff)
		}
		if len(s.claims) > 0 && read.claims[0] != s.claims[0] {
			t.Fatalf("step %d: %v", step, read.claims)
		}
		if r.IntN(3) == 0 {
			s = read // goes on from what was read
		}
	}
}

func TestAJournalIsFoldedBeforeItOutgrowsTheSnapshot(t *testing.T) {
	s := emptyState()
	for i := range 2000 {
		s.set(fmt.Sprint("entry ", i), kept{int64(i), 1})
	}
	s.encode()
	most := 0
	for i := range 5000 {
		s.set(fmt.Sprint("entry ", i%2000), kept{int64(i), 2})
		most = max(most, len(s.encode()))
	}
	if limit := len(s.snapshot)*3/2 + 16<<10; most > limit {
		t.Errorf("%d bytes, with a snapshot of %d", most, len(s.snapshot))
	}
}

func TestADamagedTextIsToldOf(t *testing.T) {
	s := emptyState()
	s.set("e", kept{1, 2})
	whole := s.encode()
	s.set("f", kept{1, 2})
	journalled := s.encode()
	for name, text := range map[string][]byte{
		"not ours": []byte("hello"), "cut": whole[:len(whole)-3], "newer": []byte(`{"format": 2}` + "\n"),
		"journal": append(journalled, "[]x\n"...), "size": []byte(`{"format": 1, "token": "1", "snapshot": 99}` + "\n"),
		"negative": []byte(`{"format": 1, "token": "1", "snapshot": -1}` + "\n"),
	} {
		if _, err := decode(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	s := emptyState()
	s.set("e", kept{1, 2})
	s.encode()
	s.set("f", kept{3, 4})
	s.claims = []claim{{"e", 5, "id"}}
	f.Add(s.encode())
	f.Add([]byte(`{"format": 1, "token": "1", "snapshot": 0, "claims": [[1, "x", null]]}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		read, err := decode(text)
		if err != nil {
			return
		}
		again, err := decode(read.encode())
		if err != nil {
			t.Fatalf("what was read is written wrongly: %v", err)
		}
		if diff := cmp.Diff(read.records, again.records, cmp.AllowUnexported(kept{})); diff != "" {
			t.Error(diff)
		}
	})
}

// The figures of doc.go: names with little in common, moments to the microsecond.
func TestAConfigMapHoldsThirtyThousandEntries(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // chance for tests
	s := emptyState()
	for _, n := range []int{10000, 30000} {
		for i := len(s.records); i < n; i++ {
			name := fmt.Sprintf("%016x send the reminder of %06d", r.Uint64(), i)
			s.set(name, kept{1790000000000000 + r.Int64N(3600e6), r.Int64N(1e6)})
		}
		s.snapshot = nil
		size := len(s.encode())
		t.Logf("%d entries: %d bytes", n, size)
		if n == 30000 && size > configMapBytes {
			t.Errorf("%d entries are %d bytes", n, size)
		}
	}
}
