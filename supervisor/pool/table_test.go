package pool

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheDiagramInTheDocumentIsTheTransitionTable(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]State{}
	for s := Empty; s <= Backoff; s++ {
		states[strings.ToUpper(s.String()[:1])+s.String()[1:]] = s
	}
	arrow := regexp.MustCompile(`^//\t(\w*) *[─┬├└]+ .* ─+► (\w+)$`)
	drawn := make([][]State, len(moves))
	var from State
	for line := range strings.SplitSeq(string(source), "\n") {
		m := arrow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if m[1] != "" {
			from = states[m[1]]
		}
		drawn[from] = append(drawn[from], states[m[2]])
	}
	for s := range moves {
		want := slices.Sorted(slices.Values(moves[s]))
		if got := slices.Sorted(slices.Values(drawn[s])); !slices.Equal(got, want) {
			t.Errorf("from %s the diagram draws %v, the table has %v", State(s), got, want)
		}
	}
}

func TestEveryStateHasAName(t *testing.T) {
	seen := map[string]bool{}
	for s := Empty; s <= Backoff; s++ {
		if name := s.String(); name == "unknown" || seen[name] {
			t.Errorf("state %d is called %q", s, name)
		} else {
			seen[name] = true
		}
	}
	if State(99).String() != "unknown" {
		t.Error("a state that is none has a name")
	}
}

func TestTheDefaultsAreValid(t *testing.T) {
	if err := Defaults(8).Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateTellsAllThatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*Config)
		want  []string
	}{
		{"negative numbers", func(c *Config) { c.Slots, c.Surge, c.MaxTasks = -1, -2, -3 }, []string{"slots", "surge", "max tasks"}},
		{"negative sizes", func(c *Config) { c.MaxMemory, c.MemoryKill, c.MaxAge = -1, -1, -1 }, []string{"max memory", "memory kill", "max age"}},
		{"kill below recycle", func(c *Config) { c.MaxMemory, c.MemoryKill = 10, 5 }, []string{"memory kill (5) is below max memory (10)"}},
		{"no time at all", func(c *Config) {
			c.StartTimeout, c.StopTimeout, c.KillGrace, c.HardLimitGrace, c.CutoffGrace = 0, 0, 0, 0, 0
		},
			[]string{"start timeout", "stop timeout", "kill grace", "hard limit grace", "cutoff grace"}},
		{"backoff that falls", func(c *Config) { c.BackoffMin = time.Minute }, []string{"backoff max (10s) is below backoff min (1m0s)"}},
		{"gives up before a second try", func(c *Config) { c.GiveUpAfter = time.Millisecond }, []string{"give up after"}},
		{"guard upside down", func(c *Config) { c.GuardSoft, c.GuardHard = 0.9, 0.8 }, []string{"guard hard (0.8) is not above guard soft (0.9)"}},
		{"guard beyond the limit", func(c *Config) { c.GuardSoft, c.GuardHard = 1.5, 2 }, []string{"guard soft: 1.5", "guard hard: 2"}},
		{"jitter of all", func(c *Config) { c.Jitter, c.GuardPause = 1, -1 }, []string{"jitter", "guard pause"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Defaults(2)
			tt.spoil(&c)
			_, err := New(c, nil)
			if err == nil {
				t.Fatal("it is accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("it does not tell of %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	p := &Pool{cfg: Config{BackoffMin: 100 * time.Millisecond, BackoffMax: time.Second}}
	want := []time.Duration{0, 0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, time.Second, time.Second}
	for failures, d := range want {
		if got := p.backoff(failures); got != d {
			t.Errorf("after %d failures: %s, not %s", failures, got, d)
		}
	}
	if got := p.backoff(1 << 20); got != time.Second {
		t.Errorf("after very many failures: %s", got)
	}
}
