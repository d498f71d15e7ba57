package celery

import (
	"context"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/celery/hang"
	"crisper/supervisor/ops"
	"crisper/supervisor/pool"
)

// Care says how workers and what they hold are looked after.
type Care struct {
	// HangTimeout is how long a worker may take nothing although there is work and
	// room; 0: for ever. PoisonLimit is with how many deaths a message is parked; 0: never.
	HangTimeout time.Duration
	PoisonLimit int
	// OpenKeeper chooses the client of a broker; nil, nil: there is none for its kind.
	OpenKeeper func(BrokerInfo) (broker.Keeper, error)
}

// warden looks after Celery workers that have an agent. It starts and ends none: the
// pool's loop does, or whoever runs a single command. It belongs to its owner's
// goroutine, into which post brings what others have to say.
type warden struct {
	Care
	log     *zap.Logger
	metrics *ops.Metrics
	post    func(func())
	ready   func(*child)
	counted func(*child, counts)
	hung    func(*child, hang.Hung)
	life    context.Context // of requests to the broker
	records *recorder

	children  map[pool.ChildID]*child
	watch     *hang.Watch
	keepers   map[string]*keeping // by broker; nil: not to be looked after
	waiting   []func()            // for those who are dying
	returning int                 // dead workers whose deliveries are on their way back
	recording int                 // dead workers whose tasks are being recorded
	leaving   bool                // nobody is judged any more
	python    string              // versions, as an agent says
	celery    string
}

func newWarden(care Care, log *zap.Logger, metrics *ops.Metrics) *warden {
	return &warden{
		Care: care, log: log, metrics: metrics, life: context.Background(),
		children: map[pool.ChildID]*child{}, watch: hang.New(care.HangTimeout), keepers: map[string]*keeping{},
	}
}

// leaves: it was told to, by whomever.
func (w *warden) leaves(c *child) {
	c.told = true
	w.watch.Left(uint64(c.id))
}

// tellCut says of agents whose process lives that they will not say anything more.
func (w *warden) tellCut() {
	for id, c := range w.children {
		if !c.gone && !c.hungUp.IsZero() && time.Since(c.hungUp) > silentEnd && !c.off && !c.told {
			w.onSaid(id, said{Said: "off", Why: "the process that it was in runs another program"})
		}
	}
}
