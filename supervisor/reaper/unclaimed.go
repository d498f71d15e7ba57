package reaper

import "time"

// unclaimed keeps the statuses of processes that nobody had asked about when
// they ended: an executor can be dead before the zygote's word of its birth
// arrives. It is bounded in number and in time, because as PID 1 we also inherit
// processes that nobody will ever ask about. Pure: the clock is the caller's.
type unclaimed struct {
	limit   int
	keep    time.Duration
	entries []unclaimedEntry // oldest first
}

type unclaimedEntry struct {
	status Status
	at     time.Time
}

// put adds a status and returns how many were given up for it. A pid that is
// there already was recycled: the older status can belong to nobody any more.
func (u *unclaimed) put(now time.Time, st Status) (dropped int) {
	dropped = u.expire(now)
	if _, ok := u.take(st.PID); ok {
		dropped++
	}
	if len(u.entries) >= u.limit {
		u.entries = u.entries[1:]
		dropped++
	}
	u.entries = append(u.entries, unclaimedEntry{st, now})
	return dropped
}

// take removes and returns the status of pid.
func (u *unclaimed) take(pid int) (Status, bool) {
	for i, e := range u.entries {
		if e.status.PID == pid {
			u.entries = append(u.entries[:i:i], u.entries[i+1:]...)
			return e.status, true
		}
	}
	return Status{}, false
}

// expire drops what is too old and returns how many those were.
func (u *unclaimed) expire(now time.Time) (dropped int) {
	for dropped < len(u.entries) && now.Sub(u.entries[dropped].at) > u.keep {
		dropped++
	}
	u.entries = u.entries[dropped:]
	return dropped
}
