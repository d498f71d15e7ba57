package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/agent"
	"crisper/supervisor/events"
	"crisper/supervisor/ledger"
	"crisper/supervisor/process"
	"crisper/supervisor/wire"
)

// RemoteConfig is what the app and the command line say about events and remote
// control.
type RemoteConfig struct {
	// Events: -E or worker_send_task_events. Exchange is event_exchange.
	Events   bool
	Exchange string
	// Heartbeat is its interval; 0: --without-heartbeat.
	Heartbeat time.Duration
	// Control is control_exchange; empty: worker_enable_remote_control is False.
	Control string
	// Mingle: ask the other workers at the start what has been revoked.
	Mingle bool
	// Restarts is worker_pool_restarts.
	Restarts bool
	// Limits: rate limits are kept (not worker_disable_rate_limits).
	Limits bool
	// StateDB is where revoked ids are kept; empty: nowhere.
	StateDB string
}

// remote is what the loop knows of the world that watches it and speaks to it.
// Owned by the loop.
type remote struct {
	fanout    broker.Fanout // nil where the broker has none
	clock     *events.Clock
	sender    *events.Sender
	processed int64 // tasks begun
	// publishing: a batch is on its way. The channel has room for one, and one is
	// under way at most, so sending never blocks.
	publishing  bool
	toPublisher chan []broker.Publication
	// mails are the commands of remote control; nil: none. replies wait for the publisher.
	mails   <-chan broker.Broadcast
	replies []broker.Publication
	lookers []looker // commands that wait for a take
	queues  []queue
	// limited are the kinds that have, or had, a rate; rates are those that remote
	// control has set, as text.
	limited []*taskKind
	rates   map[string]string
	// waits counts what has to be known before the first Take; mingled: once is enough.
	waits   int
	mingled bool
	// What is revoked is kept (statedb.go): kept is the number of changes that are written
	// down, -1 if that has to be done in any case.
	kept               int
	saving, stateFound bool
	savedAt            time.Time
}

func newRemote(cfg RemoteConfig, b broker.Consumer, info agent.Info) *remote {
	clock := new(events.Clock)
	r := &remote{clock: clock, toPublisher: make(chan []broker.Publication, 1), rates: map[string]string{}}
	r.fanout, _ = b.(broker.Fanout)
	if r.fanout != nil && cfg.Control != "" {
		r.mails = r.fanout.Listen(cfg.Control + ".pidbox")
	}
	for i, q := range info.Queues {
		if i < len(info.Remote.Queues) {
			r.queues = append(r.queues, queue{q.Name, info.Remote.Queues[i]})
		}
	}
	if r.fanout == nil {
		cfg.Events, cfg.Heartbeat = false, 0
	}
	r.sender = events.NewSender(events.Config{
		Hostname: info.Hostname, PID: os.Getpid(), Exchange: cfg.Exchange, Heartbeat: cfg.Heartbeat, Tasks: cfg.Events,
		WholeHours: older(info.Celery, 5, 7),
		Software:   events.Software{Ident: "py-celery", Version: info.Celery, System: process.System},
	}, clock)
	return r
}

// status is what a heartbeat says.
func (l *loop) status() events.Status {
	return events.Status{
		Active: l.book.Count(ledger.Active), Processed: l.remote.processed, Load: process.LoadAverage(),
	}
}

// announce sends the events that are due, one batch at a time: what happens
// meanwhile makes the next one.
func (l *loop) announce() {
	r := l.remote
	if r.sender.Beats(l.now) {
		l.signalPython("heartbeat_sent", nil)
		r.sender.Beat(l.now, l.status(), l.connected)
	}
	if r.publishing || !l.connected || r.fanout == nil || !r.sender.Due(l.now) && len(r.replies) == 0 {
		return
	}
	r.publishing = true
	r.toPublisher <- l.outbound()
}

// outbound is all that is to be published: replies first, somebody waits for them.
func (l *loop) outbound() []broker.Publication {
	batch := append(l.remote.replies, l.remote.sender.Collect()...)
	l.remote.replies = nil
	return batch
}

// publisher carries batches to the broker.
func (l *loop) publisher(ctx context.Context) {
	fanout := l.remote.fanout
	for {
		select {
		case <-ctx.Done():
			return
		case batch := <-l.remote.toPublisher:
			call, cancel := context.WithTimeout(ctx, brokerTimeout)
			unheard, err := fanout.Publish(call, batch)
			cancel()
			l.post(asked{func(l *loop) { l.published(batch, unheard, err) }})
		}
	}
}

func (l *loop) published(batch []broker.Publication, unheard bool, err error) {
	l.remote.publishing = false
	switch {
	case err == nil:
		l.remote.sender.Heard(l.now, !unheard)
	case errors.Is(err, broker.ErrRefused):
		// Without the right to publish, tasks can be run all the same.
		l.remote.fanout = nil
		l.log.Error("the broker does not let us publish: no events and no replies to remote control", zap.Error(err))
	default:
		l.remote.sender.Return(batch)
		l.brokerFailed("cannot send events", err)
	}
}

// farewell sends what is left to say. The broker may be away: that is not waited for.
func (l *loop) farewell() {
	r := l.remote
	r.sender.Offline(l.now, l.status())
	if r.fanout == nil || !l.connected {
		return
	}
	batch := l.outbound()
	if len(batch) == 0 {
		return
	}
	call, cancel := context.WithTimeout(l.ctx, 2*time.Second)
	defer cancel()
	if _, err := r.fanout.Publish(call, batch); err != nil {
		l.log.Warn("cannot send the last events", zap.Error(err))
	}
}

// wantsEvents: of this task, and at all.
func (l *loop) wantsEvents(e *entry) bool { return e.Data.kind.events && l.remote.sender.Wants() }

// tellReceived is the event that a task is ours and will run.
func (l *loop) tellReceived(e *entry) {
	if l.wantsEvents(e) {
		l.remote.sender.Received(l.now, &e.Delivery.Message)
	}
}

// tellBegun counts a task that began, and says so.
func (l *loop) tellBegun(e *entry) {
	l.remote.processed++
	e.Data.kind.begun++
	if l.wantsEvents(e) {
		l.remote.sender.Started(l.now, e.Delivery.Message.ID)
	}
}

// tellEnded is the event of an end that the child has dealt with. Where the
// steward is asked, Celery's own code there makes the event. That a message was
// rejected is told only of one that had not been acknowledged before (worker/request.py).
func (l *loop) tellEnded(e *entry, r wire.Report) {
	if !l.wantsEvents(e) {
		return
	}
	id, attr := e.Delivery.Message.ID, e.Data.kind.attr
	switch r.Outcome {
	case wire.Success:
		l.remote.sender.Succeeded(l.now, id, r.Result, r.Runtime)
	case wire.Failure:
		if attr.AcksLate && !attr.AcksOnFailure {
			l.remote.sender.Rejected(l.now, id, false)
		}
		l.remote.sender.Failed(l.now, id, r.Exception, r.Traceback)
	case wire.Retry:
		l.remote.sender.Retried(l.now, id, r.Exception, r.Traceback)
	case wire.RejectedAgain:
		if attr.AcksLate {
			l.remote.sender.Rejected(l.now, id, true)
		}
	}
}

// tellRecorded passes on the events that Celery's code made in the steward.
func (l *loop) tellRecorded(a *ask, made []map[string]any) {
	if a.entry == nil || !l.wantsEvents(a.entry) {
		return
	}
	for _, fields := range made {
		l.remote.sender.Recorded(l.now, fields)
	}
}

// wantResults tells the children whether to report what tasks return.
func (l *loop) wantResults() {
	for _, c := range l.inOrder {
		c.page.SetResults(l.remote.sender.Wants())
	}
}

// older tells whether a version is below another.
func older(version string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(version, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a < major || a == major && b < minor
}
