package native

import "time"

// autoscale follows the work between min and max slots: up at once by what
// waits, down by one after keepalive without need, as Celery's autoscaler does
// (celery/worker/autoscale.py; AUTOSCALE_KEEPALIVE, 30 s). It never ends a task:
// the pool retires idle children only.
type autoscale struct {
	min, max  int
	keepalive time.Duration
	lastUp    time.Time
}

// want is the number of slots for this much work, given the present number.
func (a *autoscale) want(now time.Time, slots, work int) int {
	need := min(max(work, a.min), a.max)
	switch {
	case need > slots:
		a.lastUp = now
		return need
	case need < slots && now.Sub(a.lastUp) >= a.keepalive:
		a.lastUp = now
		return slots - 1
	}
	if need == slots {
		a.lastUp = now
	}
	return slots
}
