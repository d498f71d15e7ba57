package native

import "time"

// trimEvery: a worker with a task now and then does not collect garbage after each.
const trimEvery = time.Minute

// trim gives memory back: what the start needed when that is over, and what a busy time
// has left behind when there is nothing to do.
func (l *loop) trim() {
	switch {
	case l.deps.Trim == nil || l.readyAt.IsZero():
		return
	case l.trimmedAt.IsZero(): // the start is over
	case !l.resting() || l.now.Sub(l.trimmedAt) < trimEvery:
		return
	}
	l.trimmedAt = l.now
	l.goes(l.deps.Trim)
}
