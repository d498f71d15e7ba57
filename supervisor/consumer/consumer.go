package consumer

import (
	"errors"
	"fmt"
	"time"

	"crisper/broker/celerymsg"
)

// Task is what must be known of a registered task: attributes as the app
// resolved them.
type Task struct {
	AcksLate           bool
	AcksOnFailure      bool
	AcksOnTimeout      bool
	RejectOnWorkerLost bool
	RetryOnWorkerLost  bool
	// Soft and Hard are its time limits, 0 for none.
	Soft, Hard time.Duration
}

// Config is what the app and the command line say.
type Config struct {
	// Tasks are the registered tasks by name.
	Tasks map[string]Task
	// Accept are the content types of accept_content; nil accepts all.
	Accept []string
	// SoftLimit and HardLimit are the worker's, for tasks without their own.
	SoftLimit, HardLimit time.Duration
	// PoisonLimit parks a message after so many dead children; 0: never.
	PoisonLimit int
	// RevokesMax and RevokeExpires bound the set of revoked ids; 0: Celery's
	// (CELERY_WORKER_REVOKES_MAX, CELERY_WORKER_REVOKE_EXPIRES).
	RevokesMax    int
	RevokeExpires time.Duration
	// Timezone and EnableUTC are the app's. They change nothing here.
	// Celery: 5.7 reads an eta or expires without offset as UTC in any case
	// (celery/utils/time.py, maybe_make_aware).
	Timezone  *time.Location
	EnableUTC bool
}

// Validate reports all problems at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.SoftLimit < 0 || c.HardLimit < 0 {
		bad("time limits must not be negative (soft %v, hard %v)", c.SoftLimit, c.HardLimit)
	}
	if c.PoisonLimit < 0 {
		bad("poison limit must not be negative (%d)", c.PoisonLimit)
	}
	if c.RevokesMax < 0 || c.RevokeExpires < 0 {
		bad("bounds of the revoked set must not be negative (%d, %v)", c.RevokesMax, c.RevokeExpires)
	}
	return errors.Join(errs...)
}

// Consumer decides. It is owned by one goroutine.
type Consumer struct {
	cfg      Config
	plans    map[string]*plan
	accept   map[string]bool
	revoked  *RevokedSet
	stamps   map[string]map[string]bool
	maxDeath int
}

// plan is what is known beforehand of all messages of a task. run is boxed once,
// so that the usual fate costs no allocation.
type plan struct {
	task Task
	soft time.Duration
	hard time.Duration
	run  Fate
}

// New returns a Consumer with nothing revoked.
func New(cfg Config) *Consumer {
	c := &Consumer{
		cfg: cfg, plans: make(map[string]*plan, len(cfg.Tasks)), maxDeath: cfg.PoisonLimit,
		revoked: NewRevokedSet(cfg.RevokesMax, cfg.RevokeExpires), stamps: make(map[string]map[string]bool),
	}
	for name, t := range cfg.Tasks {
		p := &plan{task: t, soft: first(t.Soft, cfg.SoftLimit), hard: first(t.Hard, cfg.HardLimit)}
		p.run = Run{Soft: p.soft, Hard: p.hard, Late: t.AcksLate}
		c.plans[name] = p
	}
	if cfg.Accept != nil {
		// These two hold nothing to be deserialized (kombu/serialization.py, TRUSTED_CONTENT).
		c.accept = map[string]bool{"": true, "application/data": true, "application/text": true}
		for _, t := range cfg.Accept {
			c.accept[t] = true
		}
	}
	return c
}

// Inherit takes over what has been revoked from the consumer of an earlier
// generation of the app, which may be nil.
func (c *Consumer) Inherit(old *Consumer) {
	if old != nil {
		c.revoked, c.stamps = old.revoked, old.stamps
	}
}

// Revoked is the set of revoked ids.
func (c *Consumer) Revoked() *RevokedSet { return c.revoked }

// first is the first limit that is set: in Celery 0 falls through, so that it
// cannot switch a limit off (celery/worker/request.py:373-374, billiard/pool.py:1607-1608).
func first(limits ...time.Duration) time.Duration {
	for _, l := range limits {
		if l > 0 {
			return l
		}
	}
	return 0
}

// Receive decides what becomes of a delivery that has just been taken. deaths
// is how many children died while running it.
func (c *Consumer) Receive(now time.Time, m *celerymsg.Message, deaths int) Fate {
	p, fate := c.route(m)
	if fate != nil {
		return fate
	}
	eta, expires, fate := times(m)
	if fate != nil {
		return fate
	}
	if fate := c.void(now, m, expires); fate != nil {
		return fate
	}
	if c.maxDeath > 0 && deaths >= c.maxDeath {
		return Poisoned{Deaths: deaths, Limit: c.maxDeath}
	}
	if eta.After(now) {
		return Wait{Run: p.limits(m), Until: eta}
	}
	if m.SoftLimit == 0 && m.HardLimit == 0 {
		return p.run
	}
	return p.limits(m)
}

// AtStart asks again right before a child gets the delivery: nil to go ahead,
// else Expired or Revoked (Request.execute_using_pool).
func (c *Consumer) AtStart(now time.Time, m *celerymsg.Message) Fate {
	var expires time.Time
	if m.Expires != "" {
		expires, _ = celerymsg.ParseTime(m.Expires, time.UTC) // read before, on receipt
	}
	return c.void(now, m, expires)
}

// route finds the task (Consumer.create_task_handler, on_task_received).
func (c *Consumer) route(m *celerymsg.Message) (*plan, Fate) {
	switch m.Kind {
	case celerymsg.Undecodable:
		return nil, Undecodable{Reason: m.Problem}
	case celerymsg.Unknown:
		return nil, Unroutable{Reason: m.Problem}
	}
	p := c.plans[m.Task]
	switch {
	case p == nil:
		return nil, Unknown{Task: m.Task}
	case c.accept != nil && !c.accept[m.ContentType]:
		return nil, Invalid{Reason: "ContentDisallowed: Refusing to deserialize untrusted content of type " + m.ContentType}
	case m.Problem != "":
		return nil, Invalid{Reason: m.Problem}
	}
	return p, nil
}

// times reads ETA and expiry (Request.__init__, request.py:142-162).
func times(m *celerymsg.Message) (eta, expires time.Time, fate Fate) {
	var err error
	if m.ETA != "" {
		if eta, err = celerymsg.ParseTime(m.ETA, time.UTC); err != nil {
			return eta, expires, Invalid{Reason: "invalid ETA value: " + err.Error()}
		}
	}
	if m.Expires != "" {
		if expires, err = celerymsg.ParseTime(m.Expires, time.UTC); err != nil {
			return eta, expires, Invalid{Reason: "invalid expires value: " + err.Error()}
		}
	}
	return eta, expires, nil
}

// void says why a message is not to be run any more, nil when it is (Request.revoked).
func (c *Consumer) void(now time.Time, m *celerymsg.Message, expires time.Time) Fate {
	if !expires.IsZero() && now.After(expires) {
		c.revoked.Add(now, m.ID)
		return Expired{At: expires}
	}
	if c.revoked.Has(m.ID) {
		return Revoked{}
	}
	if len(c.stamps) > 0 && m.StampedHeaders != nil {
		if by := c.revokedStamp(m); by != "" {
			return Revoked{By: by}
		}
	}
	return nil
}

// limits are the message's, else the task's, else the worker's.
func (p *plan) limits(m *celerymsg.Message) Run {
	return Run{Soft: first(m.SoftLimit, p.soft), Hard: first(m.HardLimit, p.hard), Late: p.task.AcksLate}
}
