package lease

import (
	crand "crypto/rand"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"time"

	"crisper/beat/lease/election"

	"go.uber.org/zap"
)

// Defaults for quick take-over. A follower sees a renewal at most one retry period
// after it was made, so it takes over at most LeaseDuration + RetryPeriod and one
// round trip after a leader is killed; after a release within one RetryPeriod. The
// leader renews every 2 s; between a renewal and the deadline two attempts of 1 s
// each fit. The last 2 s belong to the work: what cannot be fenced off must have
// ended by Term.Expiry.
const (
	DefaultLeaseDuration = 6 * time.Second
	DefaultRenewDeadline = 4 * time.Second
	DefaultRetryPeriod   = 500 * time.Millisecond
)

// Options are those of one candidate. The zero value has the defaults.
type Options struct {
	LeaseDuration time.Duration // whole seconds
	RenewDeadline time.Duration // shorter
	RetryPeriod   time.Duration // of a follower's looks: each costs one small read
	GiveUpAfter   time.Duration // Run returns *GaveUp when a follower had no answer for so long; 0 is never
	Holder        string        // Identity() by default; never the same for two processes
	Log           *zap.Logger
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	set(&o.LeaseDuration, DefaultLeaseDuration)
	set(&o.RenewDeadline, DefaultRenewDeadline)
	set(&o.RetryPeriod, DefaultRetryPeriod)
	if o.Holder == "" {
		o.Holder = Identity()
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// Validate reports everything that is wrong with the options.
func (o Options) Validate() error { return o.withDefaults().config().Validate() }

func (o Options) config() election.Config {
	return election.Config{
		Holder:        o.Holder,
		LeaseDuration: o.LeaseDuration,
		RenewDeadline: o.RenewDeadline,
		RetryPeriod:   o.RetryPeriod,
		GiveUpAfter:   o.GiveUpAfter,
		Jitter:        rand.Float64,
	}
}

// Identity is a name for this process: the host's (in a cluster the pod's), and a
// part made by chance, so that a container that is restarted in place is another
// candidate and its earlier self's Lease not its own.
func Identity() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	var part [5]byte
	_, _ = crand.Read(part[:]) // never fails
	return host + "_" + hex.EncodeToString(part[:])
}
