package process

import (
	"syscall"
	"testing"

	"crisper/supervisor/reaper"
)

func TestADeathIsExplainedWithTheNumbersThatMakeItBelievable(t *testing.T) {
	const mib = 1 << 20
	killed := reaper.Status{Code: -1, Signal: syscall.SIGKILL}
	tests := []struct {
		name          string
		status        reaper.Status
		before, after Memory
		want          string
	}{
		{
			"the kernel counted a kill", killed,
			Memory{Current: 511*mib + 1, Limit: 512 * mib, OOMKills: 3}, Memory{Current: 100 * mib, Limit: 512 * mib, OOMKills: 4},
			"signal 9 (SIGKILL), probably the kernel's OOM killer: cgroup 511 of 512 MiB used, oom_kill count rose by 1",
		},
		{
			"it grew faster than we measure", killed,
			Memory{Current: 15 * mib, Limit: 64 * mib}, Memory{Current: 1 * mib, Limit: 64 * mib, OOMKills: 1},
			"signal 9 (SIGKILL), probably the kernel's OOM killer: cgroup 15 of 64 MiB used when last measured, oom_kill count rose by 1",
		},
		{
			"full, and no kill was counted", killed,
			Memory{Current: 400 * mib, Limit: 512 * mib, OOMKills: 3}, Memory{Current: 500 * mib, Limit: 512 * mib, OOMKills: 3},
			"signal 9 (SIGKILL), perhaps for want of memory: cgroup 500 of 512 MiB used, oom_kill count did not rise",
		},
		{
			"there was room", killed,
			Memory{Current: 100 * mib, Limit: 512 * mib}, Memory{Current: 90 * mib, Limit: 512 * mib},
			"signal 9 (SIGKILL), probably not for want of memory: cgroup 100 of 512 MiB used, oom_kill count did not rise",
		},
		{
			"the node ran out, not the cgroup", killed,
			Memory{Current: 100 * mib}, Memory{Current: 90 * mib, OOMKills: 1},
			"signal 9 (SIGKILL), probably the kernel's OOM killer: cgroup 100 MiB used, no limit, oom_kill count rose by 1",
		},
		{
			"nothing was measured before: old kills prove nothing", killed,
			Memory{}, Memory{Current: 90 * mib, Limit: 512 * mib, OOMKills: 7},
			"signal 9 (SIGKILL), probably not for want of memory: cgroup 90 of 512 MiB used, oom_kill count is 7",
		},
		{"no cgroup", killed, Memory{}, Memory{}, "signal 9 (SIGKILL)"},
		{
			"another signal is its own explanation", reaper.Status{Code: -1, Signal: syscall.SIGSEGV},
			Memory{Current: 511 * mib, Limit: 512 * mib}, Memory{OOMKills: 1}, "signal 11 (SIGSEGV)",
		},
		{"an exit status is, too", reaper.Status{Code: 3}, Memory{Current: 1}, Memory{Current: 1}, "exit status 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Explain(tt.status, tt.before, tt.after); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
