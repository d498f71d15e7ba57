package process

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/supervisor/reaper"
)

func TestAKillThatWasCountedBeforeTheProcessWasGoneExplainsIt(t *testing.T) {
	const limit = 400 << 20
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	death := reaper.Status{Code: -1, Signal: syscall.SIGKILL}
	for name, c := range map[string]struct {
		note func(*Recall)
		want string
	}{
		"nothing was measured":      {func(*Recall) {}, "oom_kill count is 3"},
		"measured before it":        {func(r *Recall) { r.Note(at(0), Memory{Current: 390 << 20, Limit: limit, OOMKills: 2}) }, "rose by 1"},
		"four times while it fades": {func(r *Recall) { fading(r, at) }, "probably the kernel's OOM killer: cgroup 399 of 400 MiB used, oom_kill count rose by 1"},
		"counted long ago": {func(r *Recall) {
			r.Note(at(0), Memory{Current: 1, Limit: limit, OOMKills: 2})
			for ms := 250; ms <= 12_000; ms += 250 {
				r.Note(at(ms), Memory{Current: 1, Limit: limit, OOMKills: 3})
			}
		}, "did not rise"},
		"explained already": {func(r *Recall) {
			fading(r, at)
			r.Explained(at(1300), Memory{Current: 1, Limit: limit, OOMKills: 3})
		}, "did not rise"},
		"not known this time": {func(r *Recall) {
			r.Note(at(0), Memory{Current: 390 << 20, Limit: limit, OOMKills: 2})
			r.Note(at(250), Memory{})
		}, "rose by 1"},
	} {
		var r Recall
		c.note(&r)
		if got := Explain(death, r.Before(), Memory{Current: 1, Limit: limit, OOMKills: 3}); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %q", name, got, c.want)
		}
	}
}

// fading: the kill is counted, and the process is there for another second.
func fading(r *Recall, at func(int) time.Time) {
	r.Note(at(0), Memory{Current: 399 << 20, Limit: 400 << 20, OOMKills: 2})
	for ms := 250; ms <= 1250; ms += 250 {
		r.Note(at(ms), Memory{Current: 300 << 20, Limit: 400 << 20, OOMKills: 3})
	}
}
