package consumer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// slowSet is Celery's LimitedSet as plainly as can be (celery/utils/collections.py:458).
type slowSet struct {
	max     int
	expires time.Duration
	ids     []string
	at      map[string]time.Time
}

func (s *slowSet) add(now time.Time, id string) {
	s.remove(id)
	s.ids, s.at[id] = append(s.ids, id), now
	if len(s.ids) < s.max {
		return
	}
	for len(s.ids) > s.max {
		s.remove(s.ids[0])
	}
	for len(s.ids) > 0 && !s.at[s.ids[0]].Add(s.expires).After(now) {
		s.remove(s.ids[0])
	}
}

func (s *slowSet) remove(id string) {
	s.ids = slices.DeleteFunc(s.ids, func(x string) bool { return x == id })
	delete(s.at, id)
}

func TestRevokedSetForgetsAsCelerysDoes(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		now := at(t, noon)
		fast, slow := NewRevokedSet(8, 10*time.Second), &slowSet{max: 8, expires: 10 * time.Second, at: map[string]time.Time{}}
		for step := range 300 {
			id := fmt.Sprint(r.IntN(20))
			now = now.Add(time.Duration(r.IntN(3)) * time.Second)
			switch r.IntN(10) {
			case 0:
				fast.Remove(id)
				slow.remove(id)
			case 1:
				fast.IDs() // compacts
			default:
				fast.Add(now, id)
				slow.add(now, id)
			}
			if fast.Has(id) != slices.Contains(slow.ids, id) || fast.Len() != len(slow.ids) {
				t.Fatalf("seed %d, step %d: %v, want %v", seed, step, fast.IDs(), slow.ids)
			}
		}
		if got := fast.IDs(); !slices.Equal(got, slow.ids) {
			t.Fatalf("seed %d: %v, want %v", seed, got, slow.ids)
		}
	}
}

func TestRevokedSetDoesNotGrowWhenTheSameIDComesAgainAndAgain(t *testing.T) {
	s, now := NewRevokedSet(0, 0), at(t, noon)
	for range 10_000 {
		s.Add(now, "i")
	}
	if s.Len() != 1 || len(s.order) > 100 {
		t.Errorf("%d ids in %d places", s.Len(), len(s.order))
	}
}
