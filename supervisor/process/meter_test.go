package process

import (
	"errors"
	"testing"
	"time"
)

// fakeProcesses are numbers that a Meter reads, and a clock that an exact
// measurement moves on by cost.
type fakeProcesses struct {
	private, resident map[int]int64
	faults            int64 // of each
	now               time.Time
	cost              time.Duration
	walks             int
}

func (f *fakeProcesses) meter() *Meter {
	return &Meter{
		exact: func(pid int) (int64, error) {
			f.walks++
			f.now = f.now.Add(f.cost)
			return f.private[pid], nil
		},
		glance: func(pid int) (glance, error) {
			if n, ok := f.resident[pid]; ok {
				return glance{n, f.faults}, nil
			}
			return glance{}, errors.New("ended")
		},
		now:  func() time.Time { return f.now },
		seen: make(map[int]reading),
	}
}

func TestBetweenExactMeasurementsGrowthIsAdded(t *testing.T) {
	f := &fakeProcesses{
		private: map[int]int64{1: 100}, resident: map[int]int64{1: 400},
		now: time.Unix(0, 0), cost: time.Millisecond, // 1 % of a CPU: one walk in 100 ms
	}
	m := f.meter()
	steps := []struct {
		after             time.Duration
		private, resident int64
		want              int64
		walks             int
	}{
		{0, 100, 400, 100, 1},
		{50 * time.Millisecond, 150, 430, 130, 1}, // 30 allocated; 20 unshared are not seen yet
		{40 * time.Millisecond, 150, 200, 0, 1},   // never below nothing
		{20 * time.Millisecond, 150, 430, 150, 2}, // due again
		{99 * time.Millisecond, 160, 440, 160, 2},
		{5 * time.Millisecond, 170, 440, 170, 3},
	}
	for i, s := range steps {
		f.now = f.now.Add(s.after)
		f.private[1], f.resident[1] = s.private, s.resident
		f.faults++
		if got := m.Private([]int{1})[1]; got != s.want || f.walks != s.walks {
			t.Errorf("step %d: %d after %d walks, want %d after %d", i, got, f.walks, s.want, s.walks)
		}
	}
}

func TestManyProcessesShareTheMetersTime(t *testing.T) {
	f := &fakeProcesses{private: map[int]int64{}, resident: map[int]int64{}, cost: time.Millisecond}
	var pids []int
	for pid := range 10 {
		pids = append(pids, pid)
		f.private[pid], f.resident[pid] = 10, 20
	}
	m := f.meter()
	const seconds = 20
	for range seconds * 4 {
		m.Private(pids)
		f.faults++
		f.now = f.now.Add(250 * time.Millisecond)
	}
	if spent := time.Duration(f.walks) * f.cost; spent > seconds*time.Second/100+20*time.Millisecond {
		t.Errorf("%v spent on %d walks in %d s", spent, f.walks, seconds)
	}
}

func TestAnExpensiveMeasurementIsStillRepeated(t *testing.T) {
	f := &fakeProcesses{private: map[int]int64{1: 5}, resident: map[int]int64{1: 9}, cost: time.Minute}
	m := f.meter()
	m.Private([]int{1})
	f.private[1] = 6
	f.faults++ // what it shared, it has written to
	f.now = f.now.Add(10 * time.Second)
	if got := m.Private([]int{1})[1]; got != 6 {
		t.Errorf("%d after 10 s, want the new 6", got)
	}
}

func TestAProcessThatTouchesNoPageIsSeldomMeasured(t *testing.T) {
	f := &fakeProcesses{private: map[int]int64{1: 5}, resident: map[int]int64{1: 9}, cost: time.Millisecond}
	m := f.meter()
	for range 6 {
		m.Private([]int{1})
		f.now = f.now.Add(10 * time.Second)
	}
	if f.walks != 1 {
		t.Errorf("%d walks in a minute of an idle process", f.walks)
	}
	f.private[1] = 8 // those that shared its pages have ended
	if got := m.Private([]int{1})[1]; got != 8 {
		t.Errorf("%d after a minute, want the new 8", got)
	}
}

func TestStatIsReadFromTheEndOfTheName(t *testing.T) {
	const rest = " S 1 2 3 0 -1 4194560 1500 0 2 0 7 1 0 0 20 0 1 0 9000 1048576 25 18446744073709551615 1 1"
	for _, name := range []string{"(python)", "(a) S 9 9)", "(crisper: slot 0)"} {
		if g, ok := parseStat([]byte("41 "+name+rest), 4096); !ok || g.faults != 1502 || g.resident != 25*4096 {
			t.Errorf("%s: %+v, %t", name, g, ok)
		}
	}
	for _, text := range []string{"", "41 (python) S 1 2", "41 (python" + rest[:20]} {
		if g, ok := parseStat([]byte(text), 4096); ok {
			t.Errorf("%q is read as %+v", text, g)
		}
	}
}

func TestAProcessThatWasNotAskedForIsMeasuredAnew(t *testing.T) {
	f := &fakeProcesses{private: map[int]int64{1: 5, 2: 7}, resident: map[int]int64{1: 9, 2: 9}, cost: time.Second}
	m := f.meter()
	m.Private([]int{1, 2})
	m.Private([]int{2})
	f.private[1] = 50 // another process with its number
	got := m.Private([]int{1, 2, 3})
	if got[1] != 50 || got[2] != 7 || len(got) != 2 {
		t.Errorf("%v; want 50, 7 and nothing of 3, which has ended", got)
	}
}
