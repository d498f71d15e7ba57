// Package broker describes what the rest of the program may ask of a message
// broker: consume deliveries, settle each exactly once, and measure a backlog.
//
// It holds types and interfaces only. An implementation (redisbroker,
// amqpbroker) is chosen in cmd and passed in; brokertest.Exercise is the
// conformance suite that each of them passes.
//
// Authority: the broker is right about what is still owed, the ledger of the
// running supervisor is right about what is being done. When the two disagree
// (a delivery was restored behind our back) the broker wins: we settle nothing
// and say so.
package broker

import (
	"context"
	"errors"
	"time"

	"crisper/broker/celerymsg"
)

// Errors a caller branches on.
var (
	// ErrUnavailable means that the broker could not be asked or did not answer
	// in time. Whether the request took effect is unknown.
	ErrUnavailable = errors.New("broker unavailable")
	// ErrRefused means that the broker answered and will go on refusing: wrong
	// password, no permission, a server too old. Retrying is of no use.
	ErrRefused = errors.New("broker refused us")
)

// Tag identifies a delivery for as long as it is in our hands. On Redis it is
// kombu's delivery tag (the field name in the unacked hash).
type Tag string

// Delivery is one message that the broker handed to us and waits to see settled.
type Delivery struct {
	Tag         Tag
	Queue       string // the queue it was taken from, without priority suffix
	Redelivered bool   // somebody held it before us
	Deaths      int    // children that died while running it, over all workers
	Started     bool   // recorded as by Accept in the moment of taking (see Starter)
	Message     celerymsg.Message
}

// Verb says what becomes of a delivery.
type Verb uint8

// The verbs. Begin and Accept do not end our hold, all others do.
const (
	// Begin records that a late-acknowledged task has been started, so that a
	// peer that finds us dead counts a death against the message.
	Begin Verb = iota + 1
	// Accept records that an early-acknowledged task has been started: from here
	// on nobody may run it again. If we die, a surviving peer records it as
	// failed (event Orphaned) instead of running it.
	Accept
	// Ack ends the delivery: done.
	Ack
	// Reject ends it without requeueing (Redis has no dead-lettering: same as Ack).
	Reject
	// Requeue puts it back at the tail of its queue, as Celery's
	// reject(requeue=True) does.
	Requeue
	// Restore gives it back as if never taken: next to be consumed, in the
	// order in which the batch was taken.
	Restore
	// Park ends it and keeps a copy in the dead-letter list, with Reason.
	Park
)

// Settlement is one verdict. Deaths and Reason travel with the message where
// it goes on living (Requeue, Restore, Park).
type Settlement struct {
	Tag    Tag
	Verb   Verb
	Deaths int    // new death count; 0 leaves it as it was
	Reason string // for Park: a sentence for people
}

// Queue is one queue to consume, as the app declares it (kombu's Queue.as_dict).
type Queue struct {
	Name         string         `json:"name"`
	Exchange     string         `json:"exchange"`
	ExchangeType string         `json:"exchange_type"`
	RoutingKey   string         `json:"routing_key"`
	Durable      bool           `json:"durable"`
	Exclusive    bool           `json:"exclusive"`
	AutoDelete   bool           `json:"auto_delete"`
	Arguments    map[string]any `json:"arguments,omitempty"`
}

// Backlog is what is owed in one queue. The numbers are kept apart because an
// autoscaler must not confuse them.
type Backlog struct {
	Ready     int64         // waiting in the queue, all priorities
	Unacked   int64         // taken by some worker and not settled, due now
	Scheduled int64         // taken by some worker and waiting for its ETA
	OldestAge time.Duration // age of the oldest ready message; 0 when none or unknown
}

// Consumer is a connection to a broker that takes and settles deliveries.
//
// Run owns the connection: it connects, reconnects with back-off, renews what
// is in hand, shows our presence and restores what dead peers held. All other
// methods may be called from any goroutine while Run runs, and fail with
// ErrUnavailable while there is no connection.
type Consumer interface {
	// Run returns nil when ctx ends, and an error when it gives up.
	Run(ctx context.Context) error
	// Events tells what happened. The reader must keep reading until it is closed,
	// which happens when Run has returned.
	Events() <-chan Event
	// Take moves up to n ready messages into our hands, in the broker's order,
	// and returns at once, with none if there are none.
	Take(ctx context.Context, n int) ([]Delivery, error)
	// Settle carries out a batch, atomically per delivery, in order. It returns
	// the tags that were no longer ours (restored or taken by somebody else);
	// nothing was done to those. Calling it again after ErrUnavailable is safe.
	Settle(ctx context.Context, batch []Settlement) (gone []Tag, err error)
	// Backlog measures the consumed queues.
	Backlog(ctx context.Context) (map[string]Backlog, error)
	// Close gives up our presence. Call it after everything has been settled.
	Close(ctx context.Context) error
}

// Starter is a Consumer that can record deliveries as begun in the moment of
// taking them, which saves an idle worker the round trip of an Accept.
type Starter interface {
	// TakeStarted is Take, and records up to start of the first deliveries as Accept
	// does, those that have no ETA, and then those that follow, as long as they have
	// none and are tasks of the names in short. They come with Started set. When the
	// answer is lost they are restored as if never taken.
	TakeStarted(ctx context.Context, n, start int, short ...string) ([]Delivery, error)
}

// Purger is a Consumer that can throw away what waits (`--purge`).
type Purger interface {
	// Purge discards all ready messages of the consumed queues and returns how
	// many there were. What somebody has in hand is not touched.
	Purge(ctx context.Context) (int64, error)
}

// Event is something a Consumer reports.
type Event interface{ event() }

// The events.
type (
	// Connected: Take and Settle may be expected to work. Server names the broker
	// for people, without password.
	Connected struct{ Server string }
	// Disconnected: the connection is lost or could not be made; the next try is
	// in Retry. Attempt counts from 1; Limit is 0 when it tries for ever.
	Disconnected struct {
		Err            error
		Server         string
		Retry          time.Duration
		Attempt, Limit int
	}
	// Ready: a Take may find messages now. Sent after a Take that came back with
	// fewer messages than asked for; never while the caller does not Take.
	Ready struct{}
	// Gone: these were in our hands and have been restored by somebody else (we
	// were paused or cut off for too long). Settle nothing for them.
	Gone struct{ Tags []Tag }
	// Orphaned: early-acknowledged tasks that a dead peer had begun. They are now
	// ours to record as failed, and then to Ack. Nobody will run them again.
	Orphaned struct {
		Peer       string
		Deliveries []Delivery
	}
	// PeerRestored: a dead peer's unbegun and late-acknowledged deliveries went
	// back to their queues.
	PeerRestored struct {
		Peer  string
		Count int
	}
)

func (Connected) event()    {}
func (Disconnected) event() {}
func (Ready) event()        {}
func (Gone) event()         {}
func (Orphaned) event()     {}
func (PeerRestored) event() {}
