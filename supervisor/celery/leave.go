package celery

import "time"

const (
	// recordAhead is how long before a cut-off a clerk is started, for it takes as long as
	// the app takes to load.
	recordAhead = 10 * time.Second
	// recordAtEnd bounds the wait for it where nobody has said how long we have.
	recordAtEnd = 30 * time.Second
	// recordReserve is what is left of the grace when we do not wait any more.
	recordReserve = 150 * time.Millisecond
	// recordAtLeast is waited for it whatever the grace says: somebody was late.
	recordAtLeast = 500 * time.Millisecond
)

// recordAhead has a clerk ready when tasks are about to be cut off that will have to be
// recorded: there will not be time then for an app to load.
func (l *loop) recordAhead() {
	if l.cutAt.IsZero() || l.ahead || time.Until(l.cutAt) > recordAhead {
		return
	}
	for _, c := range l.children {
		if !c.off && c.hand.Early() {
			l.ahead = true
			l.records.prepare(c.start)
			return
		}
	}
}

// leftAll: no worker lives any more. What they held and ran is still to be seen to.
func (l *loop) leftAll(now time.Time) {
	l.done, l.patience = true, now.Add(max(time.Second, l.cfg.Margin/4))
	l.recordable = now.Add(recordAtEnd)
	if !l.told.IsZero() && l.cfg.Grace > 0 {
		l.recordable = l.told.Add(l.cfg.Grace - recordReserve)
		if least := now.Add(recordAtLeast); least.After(l.recordable) {
			l.recordable = least
		}
	}
}

// awaits says whether something is still to be waited for, that has time.
func (l *loop) awaits(now time.Time) bool {
	return l.returning > 0 && now.Before(l.patience) || l.recording > 0 && now.Before(l.recordable)
}
