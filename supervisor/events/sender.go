package events

import (
	"strconv"
	"time"

	"crisper/broker"
)

// Software is what a worker says it is (celery/worker/state.py, SOFTWARE_INFO).
type Software struct{ Ident, Version, System string }

// Config is what the app and the command line say.
type Config struct {
	Hostname string
	PID      int
	Exchange string // event_exchange
	Software Software
	// WholeHours: receivers of this Celery count time zones in whole hours.
	WholeHours bool
	// Heartbeat is its interval; 0: no events of the worker at all.
	Heartbeat time.Duration
	// Tasks: -E or worker_send_task_events.
	Tasks bool
	// Limit is how many events one list holds; Backlog how many bytes wait while the
	// broker is away.
	Limit, Backlog int
}

// Defaults of Limit, Backlog, and how long an event waits for company. Celery
// sends 24 in a list at most, and what there is with each turn of its loop; no
// receiver counts them.
const (
	DefaultLimit   = 100
	DefaultBacklog = 8 << 20
	Patience       = 20 * time.Millisecond
)

// Sender makes messages of events.
type Sender struct {
	cfg    Config
	clock  *Clock
	common []byte // the beginning of every event
	header []byte
	// asked: enable_events was called.
	asked bool

	open   []byte // the list that is being filled
	count  int    // events in it
	opened time.Time
	ready  []broker.Publication
	size   int // bytes in ready
	// Dropped counts events that were given up for want of room.
	Dropped int64

	online bool
	beat   time.Time // the next heartbeat
	// unheard: the last thing that was told to everybody reached nobody.
	unheard bool
	latest  time.Time // no event is older than the one before it
}

// NewSender returns a Sender that has sent nothing.
func NewSender(cfg Config, clock *Clock) *Sender {
	if cfg.Limit == 0 {
		cfg.Limit = DefaultLimit
	}
	if cfg.Backlog == 0 {
		cfg.Backlog = DefaultBacklog
	}
	s := &Sender{cfg: cfg, clock: clock}
	s.common = append(quote([]byte(`{"hostname": `), cfg.Hostname), `, "pid": `...)
	s.common = strconv.AppendInt(s.common, int64(cfg.PID), 10)
	s.header = append(quote([]byte(`{"hostname": `), cfg.Hostname), '}')
	return s
}

// Wants tells whether events of tasks are to be sent.
func (s *Sender) Wants() bool { return s.cfg.Tasks || s.asked }

// Enable is enable_events; false if they were enabled already.
func (s *Sender) Enable() bool {
	changed := !s.Wants()
	s.asked = true
	return changed
}

// Disable is disable_events; false if that changes nothing.
//
// Celery: what -E enabled cannot be disabled (worker/control.py, 5.7: with -E the
// set of groups is empty, which means all).
func (s *Sender) Disable() bool {
	changed := s.asked && !s.cfg.Tasks
	s.asked = false
	return changed
}

// close makes the open list a message.
func (s *Sender) close() {
	if s.count == 0 {
		return
	}
	body := append([]byte(nil), append(s.open, ']')...)
	s.add(broker.Publication{Exchange: s.cfg.Exchange, RoutingKey: "task.multi", Headers: s.header, Body: body})
	s.count = 0
}

// add puts a message behind the others, and gives up the oldest when there is no room.
func (s *Sender) add(p broker.Publication) {
	s.ready = append(s.ready, p)
	s.size += len(p.Body)
	s.trim()
}

func (s *Sender) trim() {
	for s.size > s.cfg.Backlog && len(s.ready) > 1 {
		s.size -= len(s.ready[0].Body)
		s.ready = s.ready[1:]
		s.Dropped++
	}
}

// Due tells whether Collect is worth a request now.
func (s *Sender) Due(now time.Time) bool {
	return len(s.ready) > 0 || s.count > 0 && now.Sub(s.opened) >= Patience
}

// Collect takes all that is to be published.
func (s *Sender) Collect() []broker.Publication {
	s.close()
	batch := s.ready
	s.ready, s.size = nil, 0
	return batch
}

// Return takes back a batch that could not be published. What a worker said of
// itself is not said again.
func (s *Sender) Return(batch []broker.Publication) {
	var keep []broker.Publication
	for _, p := range batch {
		if p.RoutingKey == "task.multi" {
			keep = append(keep, p)
			s.size += len(p.Body)
		}
	}
	s.ready = append(keep, s.ready...)
	s.trim()
}

// NextWake is when Due or Beat may have something to do; zero: not by itself.
func (s *Sender) NextWake() time.Time {
	var at time.Time
	if s.count > 0 {
		at = s.opened.Add(Patience)
	}
	if s.online && (at.IsZero() || s.beat.Before(at)) {
		at = s.beat
	}
	return at
}
