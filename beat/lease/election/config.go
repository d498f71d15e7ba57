package election

import (
	"errors"
	"fmt"
	"time"
)

// Config is what one candidate goes by.
type Config struct {
	Holder        string         // of this process alone: another process is another holder
	LeaseDuration time.Duration  // others take over when they saw no renewal for this long
	RenewDeadline time.Duration  // the term ends this long after the start of its last good renewal
	RetryPeriod   time.Duration  // between a follower's looks at the record, and between attempts
	GiveUpAfter   time.Duration  // a follower without an answer for this long gives up; 0 is never
	Jitter        func() float64 // in [0, 1)
}

// renewPeriod is the age at which a term is renewed.
func (c Config) renewPeriod() time.Duration { return c.LeaseDuration / 3 }

// attempt is how long one call may take: two fit between the time of the renewal
// and the end of the term, so that one lost packet does not cost the term.
func (c Config) attempt() time.Duration { return (c.RenewDeadline - c.renewPeriod()) / 2 }

// patience is how long a refusal must last before it is believed: an API server
// that has just started refuses everybody until it has read the roles. What was allowed
// before is more likely to be allowed again than to have been forbidden.
func (c Config) patience(allowed bool) time.Duration {
	if allowed {
		return 10 * c.LeaseDuration
	}
	return c.LeaseDuration
}

// Validate reports everything that is wrong with it.
func (c Config) Validate() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(c.Holder == "", "a candidate needs a name")
	wrong(c.LeaseDuration < time.Second || c.LeaseDuration%time.Second != 0,
		"the lease duration (%v) must be a whole number of seconds, for that is what a Kubernetes Lease can say", c.LeaseDuration)
	wrong(c.RenewDeadline >= c.LeaseDuration,
		"the renew deadline (%v) must be shorter than the lease duration (%v): the leader stops before others may begin", c.RenewDeadline, c.LeaseDuration)
	wrong(c.RenewDeadline <= c.renewPeriod(),
		"the renew deadline (%v) must be longer than a third of the lease duration (%v), the age at which a term is renewed", c.RenewDeadline, c.LeaseDuration)
	wrong(c.RetryPeriod <= 0, "the retry period (%v) must be more than nothing", c.RetryPeriod)
	wrong(c.RetryPeriod > c.attempt() && c.attempt() > 0,
		"the retry period (%v) leaves no room for a second attempt between a renewal (after %v) and the renew deadline (%v)", c.RetryPeriod, c.renewPeriod(), c.RenewDeadline)
	wrong(c.GiveUpAfter < 0, "the time to give up after (%v) must not be negative", c.GiveUpAfter)
	return errors.Join(errs...)
}
