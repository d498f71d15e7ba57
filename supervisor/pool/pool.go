package pool

import (
	"slices"
	"time"
)

// Pool is the state of all slots. It is a plain value for one goroutine; doc.go
// says what it decides and what its caller owes it.
type Pool struct {
	cfg    Config
	jitter func() float64

	slots    []*slot            // by id, ascending; closing ones included
	children map[ChildID]*child // every child asked for and not yet gone
	lastID   ChildID
	size     int // slots wanted

	opened   bool
	gaveUp   bool
	draining bool
	cut      bool      // the drain's deadline has been acted upon
	drained  bool      // Drained was given; nothing follows
	deadline time.Time // of the drain; zero: none

	gen         Generation // the newest that was ready
	usable      bool       // its zygote lives
	asked       bool       // a StartGeneration is unanswered
	genFailures int
	genRetry    time.Time // when to ask for a generation again; zero: not

	failingSince time.Time // first of nothing but failed starts; zero: none
	meanTask     mean      // begun to ended
	meanStart    mean      // asked to ready

	current, limit int64     // the cgroup as last measured
	paused         bool      // PausePrefetch{true} was given
	guardKilled    time.Time // when the guard last killed
	guardRetired   time.Time // and last retired
	guardVictim    ChildID   // whom it retired, maybe not gone yet

	wake       time.Time // no later than the earliest deadline; zero: none
	impossible int
	lastOdd    string
}

// New returns a pool that waits for Opened and GenerationReady. jitter returns
// numbers in [0,1) and is asked once per child.
func New(cfg Config, jitter func() float64) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Pool{cfg: cfg, jitter: jitter, children: make(map[ChildID]*child)}
	p.grow(cfg.Slots)
	return p, nil
}

// Step takes one event in and appends what is to be done to acts. TaskBegan and
// TaskEnded cost O(1) and allocate nothing, so ev must not escape from here.
func (p *Pool) Step(now time.Time, ev Event, acts []Action) []Action {
	if p.drained {
		return acts
	}
	switch ev := ev.(type) {
	case TaskBegan:
		return p.onTaskBegan(now, ev, acts)
	case TaskEnded:
		return p.onTaskEnded(now, ev, acts)
	case MemoryMeasured:
		acts = p.onMemoryMeasured(now, ev, acts)
	case CgroupMeasured:
		acts = p.onCgroupMeasured(now, ev, acts)
	case Opened:
		p.opened = true
	case GenerationReady:
		p.onGenerationReady(ev)
	case GenerationLost:
		acts = p.onGenerationLost(now, ev, acts)
	case ChildForked:
		acts = p.onChildForked(now, ev, acts)
	case ChildReady:
		acts = p.onChildReady(now, ev, acts)
	case ForkFailed:
		acts = p.onForkFailed(now, ev, acts)
	case ChildExited:
		acts = p.onChildExited(now, ev, acts)
	case Resized:
		acts = p.onResized(now, ev, acts)
	case DrainBegan:
		acts = p.onDrainBegan(now, ev.Deadline, acts)
	case DrainHurried:
		acts = p.onDrainBegan(now, now, acts)
	case FrameBroken:
		acts = p.onFrameBroken(now, ev, acts)
	case ChildHung:
		acts = p.onChildHung(now, ev, acts)
	case TerminateRequested:
		acts = p.onTerminateRequested(now, ev, acts)
	default:
		p.odd("an event of an unknown type", 0)
	}
	return p.plan(now, acts)
}

// Tick acts upon the deadlines that have passed. Call it when NextWake is due;
// calling it early or late is harmless.
func (p *Pool) Tick(now time.Time, acts []Action) []Action {
	if p.drained {
		return acts
	}
	for _, c := range p.all() {
		acts = p.expire(now, c, acts)
	}
	if !p.genRetry.IsZero() && !now.Before(p.genRetry) {
		acts = p.startGeneration(acts)
	}
	if p.draining && !p.cut && !p.deadline.IsZero() && !now.Before(p.deadline) {
		acts = p.cutOff(now, acts)
	}
	return p.plan(now, acts)
}

// NextWake is when Tick wants to be called; zero: not before another event. It
// may be early, since a task that ends leaves the wake of its limits behind,
// but never late.
func (p *Pool) NextWake() time.Time { return p.wake }

// MayTake says whether a child may be given tasks: it has its slot's seat, is
// ready or busy, and nothing has been decided against it. A replacement that
// waits for its seat may not.
func (p *Pool) MayTake(id ChildID) bool {
	c := p.children[id]
	return c != nil && c.mayTake()
}

// Room is how many tasks a child may still begin before it has used up its
// max_tasks, by the TaskBegan events seen so far; MaxRoom without that limit, 0
// when it may take none. Whoever sends tasks subtracts those that it has sent
// and not yet reported as begun; then a child never runs more than max_tasks.
func (p *Pool) Room(id ChildID) int {
	c := p.children[id]
	switch {
	case c == nil || !c.mayTake():
		return 0
	case c.maxTasks == 0:
		return MaxRoom
	}
	return max(0, c.maxTasks-c.begun)
}

// MaxRoom is the Room of a child without max_tasks.
const MaxRoom = 1 << 30

// Live is how many children exist or have been asked for.
func (p *Pool) Live() int { return len(p.children) }

// Size is how many slots are wanted.
func (p *Pool) Size() int { return p.size }

// Impossible is how many events could not be true in the state they met, and
// what the last of them was. They were ignored. More than none is a fault of the
// program around the pool, or of the pool.
func (p *Pool) Impossible() (count int, last string) { return p.impossible, p.lastOdd }

// all lists the children by slot, then in the order seat, replacement, leaving:
// an order that is the same each time, as a map's is not.
func (p *Pool) all() []*child {
	out := make([]*child, 0, len(p.children))
	for _, s := range p.slots {
		if s.seat != nil {
			out = append(out, s.seat)
		}
		if s.next != nil {
			out = append(out, s.next)
		}
		out = append(out, s.leaving...)
	}
	return out
}

// grow opens slots until size are wanted, lowest free number first.
func (p *Pool) grow(size int) {
	for _, s := range p.slots {
		if p.size < size && s.closing {
			s.closing = false
			p.size++
		}
	}
	for id := SlotID(0); p.size < size; id++ {
		at, taken := slices.BinarySearchFunc(p.slots, id, func(s *slot, id SlotID) int { return int(s.id - id) })
		if !taken {
			p.slots = slices.Insert(p.slots, at, &slot{id: id})
			p.size++
		}
	}
}
