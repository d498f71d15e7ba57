package broker

import (
	"context"
	"time"
)

// Keeper looks after deliveries that a stock worker beside us has taken: renews them
// while it lives, and gives back what it held when it has died. It takes nothing and
// shows no presence.
type Keeper interface {
	// Visibility is how long a delivery may go without being renewed.
	Visibility() time.Duration
	// Ready counts what waits in these queues, all priorities.
	Ready(ctx context.Context, queues []string) (map[string]int64, error)
	// Renew gives deliveries new scores, in their order, and returns these; 0 for one
	// that is not in anybody's hands, below 0 for one that is in another's.
	Renew(ctx context.Context, held []Held) ([]float64, error)
	// Restore gives deliveries back as if never taken, the first to be consumed first, and
	// acknowledges those that are done.
	// Those that are not in hand any more, or in another's, are left alone.
	Restore(ctx context.Context, held []Held) ([]Returned, error)
	Close()
}

// Held is a delivery in a worker's hands. A tag comes back with its message, so that
// it does not say whose the delivery is: that its score lies between Low and High does.
type Held struct {
	Tag       Tag
	Low, High float64 // Unix time; High 0: not known, and nothing can be above it
	// Died: it was being run by the one who died, which counts as a death against it.
	Died bool
	// Done: it was to be acknowledged when its task began, and that has ended. What the
	// broker was never told of it is told now.
	Done bool
	// Limit is the number of deaths with which it is parked instead; 0: never.
	Limit int
}

// Returned says what became of a delivery.
type Returned struct {
	Tag    Tag
	Queue  string
	Deaths int
	Parked bool
	// Acked: it was done, and did not go back.
	Acked bool
}
