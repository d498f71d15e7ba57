package script

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crisper/supervisor/pool"

	"github.com/google/go-cmp/cmp"
)

func TestEveryEventIsReadAsItWasWritten(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, ev := range []pool.Event{
		pool.Opened{},
		pool.GenerationReady{Generation: 2},
		pool.GenerationLost{Generation: 3},
		pool.ChildForked{Child: 4, PID: 77},
		pool.ForkFailed{Child: 4, Reason: "Cannot allocate memory"},
		pool.ChildReady{Child: 4},
		pool.ChildExited{Child: 4, Status: "exit status 0", OK: true},
		pool.ChildExited{Child: 4, Status: "signal 9 (SIGKILL)"},
		pool.TaskBegan{Child: 4, Task: 5},
		pool.TaskBegan{Child: 4, Task: 5, Soft: time.Second, Hard: 1500 * time.Millisecond},
		pool.TaskEnded{Child: 4, Task: 5},
		pool.MemoryMeasured{Children: []pool.ChildMemory{{Child: 4, Bytes: 12345}, {Child: 5, Bytes: 0}}},
		pool.MemoryMeasured{},
		pool.CgroupMeasured{Current: 10, Limit: 20},
		pool.Resized{Slots: 3},
		pool.DrainBegan{},
		pool.DrainBegan{Deadline: now.Add(26 * time.Second)},
		pool.DrainHurried{},
		pool.FrameBroken{Child: 4, Reason: "kind 'z'"},
		pool.TerminateRequested{Child: 4, Task: 5, Signal: "SIGTERM"},
	} {
		line := Event(ev, now)
		words := strings.Fields(line)
		got, err := event(words[0], &args{words: words[1:]}, now)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if d := cmp.Diff(ev, got); d != "" {
			t.Errorf("%s: (-written +read)\n%s", line, d)
		}
	}
}

func TestAScriptThatWasRunStaysAsItIs(t *testing.T) {
	const script = `# A story.
config slots=1
opened
generation 1 ready
+1500us ready 1
----
what the pool did once, and does not do now

# More of it.
+1s drain_began deadline=1s
exited 1 exit status 0
`
	const want = `# A story.
config slots=1
opened
generation 1 ready
+1500us ready 1
----
0s      slot 0 child 1 gen 1: empty -> starting (start)
0s      start child 1 in slot 0 from generation 1
1.5ms   slot 0 child 1 gen 1: starting -> ready (start)

# More of it.
+1s drain_began deadline=1s
exited 1 exit status 0
----
1.0015s slot 0 child 1 gen 1: ready -> draining (drain)
1.0015s retire child 1: drain
1.0015s stop child 1
1.0015s slot 0 child 1 gen 1: draining -> empty (exited) exit status 0
1.0015s drained
`
	for _, in := range []string{script, want} {
		var out bytes.Buffer
		if err := Run(strings.NewReader(in), &out); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, out.String()); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}
}

func TestAMistakeIsShownWithItsLine(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"no config", "opened", "cannot play line 1 (opened): the first command must be config"},
		{"no such command", "# x\nconfig\nopend", `cannot play line 3 (opend): no such command: "opend"`},
		{"too much", "config\nopened now", `too much: "now"`},
		{"unknown setting", "config slot=3", `too much: "slot=3"`},
		{"bad configuration", "config slots=-1", "slots: -1 is less than 0"},
		{"too many slots", "config slots=20000", "slots: 20000 are too many"},
		{"bad time", "config\n+3 opened", `bad time "+3"`},
		{"time alone", "config\n+3s", "no command"},
		{"no child", "config\nready", "the child is missing"},
		{"bad child", "config\nready x", `the child is not a number: "x"`},
		{"bad generation", "config\ngeneration 1 gone", `a generation is ready or lost, not "gone"`},
		{"bad size", "config\ncgroup 1XB of 3", `not a size: "1XB"`},
		{"bad duration", "config\nbegan 1 task=1 soft=x", `soft is not a duration: "x"`},
		{"bad draw", "config draws=1", `not a draw: "1"`},
		{"bad part", "config jitter=x", `jitter is not a number: "x"`},
		{"only a strange space", "config\n\v", "no command"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Run(strings.NewReader(tt.script), &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("it says %v, not %q", err, tt.want)
			}
		})
	}
}

// FuzzRun looks for a script that the interpreter, or the pool, cannot bear.
func FuzzRun(f *testing.F) {
	files, _ := filepath.Glob("../testdata/*.txt")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var commands []string
		for block := range strings.SplitSeq(string(text), "\n\n") {
			before, _, _ := strings.Cut(block, "----")
			commands = append(commands, strings.TrimSpace(before))
		}
		f.Add(strings.Join(commands, "\n"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "\n") > 200 || strings.Count(text, "count=") > 3 || strings.Count(text, "resized") > 3 {
			t.Skip("too long")
		}
		var once, twice bytes.Buffer
		if Run(strings.NewReader(text), &once) != nil {
			return
		}
		if strings.Contains(text, "----") {
			return // text under a rule that nobody has played is dropped
		}
		if err := Run(&once, &twice); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}
