package process

import (
	"fmt"
	"syscall"

	"crisper/supervisor/reaper"
)

// nearLimit is the part of the limit above which "out of memory" is believable
// although no kill was counted: before is up to a measuring interval old.
const nearLimit = 0.9

// Explain says how a process ended and, for a SIGKILL that we did not send, how
// believable it is that memory was the reason. before and after are the memory of
// the cgroup last seen before the death and first seen after it; a zero Memory is
// one that is not known.
func Explain(st reaper.Status, before, after Memory) string {
	if st.Signal != syscall.SIGKILL || after == (Memory{}) {
		return st.String()
	}
	used := max(before.Current, after.Current) // the kill has freed some already
	near := after.Limit > 0 && float64(used) >= nearLimit*float64(after.Limit)
	kills := after.OOMKills - before.OOMKills
	count := "oom_kill count did not rise"
	if kills > 0 {
		count = fmt.Sprintf("oom_kill count rose by %d", kills)
	}
	if before == (Memory{}) { // then the kills may be of years ago
		kills, count = 0, fmt.Sprintf("oom_kill count is %d", after.OOMKills)
	}
	reason := "probably not for want of memory"
	numbers := usedText(used, after.Limit)
	switch {
	case kills > 0:
		reason = "probably the kernel's OOM killer"
		if after.Limit > 0 && !near { // it grew faster than we measure
			numbers += " when last measured"
		}
	case near:
		reason = "perhaps for want of memory"
	}
	return fmt.Sprintf("%s, %s: cgroup %s, %s", st, reason, numbers, count)
}

// usedText is "511 of 512 MiB used". Both numbers are rounded down, so that a
// full cgroup never seems to use more than it may.
func usedText(used, limit int64) string {
	if limit == 0 {
		return fmt.Sprintf("%d MiB used, no limit", used>>20)
	}
	return fmt.Sprintf("%d of %d MiB used", used>>20, limit>>20)
}
