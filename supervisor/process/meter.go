package process

import "time"

// meterShare is the part of one CPU that a Meter may spend on exact measurements,
// and meterOldest is how old one may get all the same; that of a process which has
// touched no new page since may get meterStill old.
const (
	meterShare  = 0.01
	meterOldest = 10 * time.Second
	meterStill  = time.Minute
)

// Meter measures the private memory of many processes, several times a second,
// at a bounded cost. An exact measurement makes the kernel walk the page tables
// (some 20 µs per MiB: milliseconds for a usual Python process), whereas resident
// memory is a counter. So each process is measured exactly as often as meterShare
// allows, and in between the change of its resident memory is added: what it
// allocates is private, and what it gives back was. Only pages that it stops
// sharing with the zygote by writing to them are seen late.
//
// Whatever makes a process's private memory grow is a page fault of its own, so one
// without page faults, an idle child, is left alone. Only pages that it alone is left
// with, because those it shared them with have ended, are then seen late.
//
// A Meter is used by one goroutine at a time.
type Meter struct {
	exact  func(pid int) (int64, error)
	glance func(pid int) (glance, error)
	now    func() time.Time
	seen   map[int]reading
}

// glance is what the kernel counts anyhow.
type glance struct {
	resident int64 // bytes
	faults   int64 // pages that became its own or were mapped, ever
}

// reading is the last exact measurement of a process.
type reading struct {
	glance
	private int64
	at      time.Time
	cost    time.Duration
}

// NewMeter returns a Meter that has seen nothing; each process is first measured
// exactly.
func NewMeter() *Meter {
	return &Meter{exact: PrivateMemory, glance: glanceAt, now: time.Now, seen: make(map[int]reading)}
}

// Private measures these processes, in bytes. Those that cannot be measured (they
// have ended) are missing from the answer; those not asked for are forgotten, so
// that a pid that comes round again is measured anew.
func (m *Meter) Private(pids []int) map[int]int64 {
	result := make(map[int]int64, len(pids))
	seen := make(map[int]reading, len(pids))
	for _, pid := range pids {
		last, known := m.seen[pid]
		if bytes, next, err := m.measure(pid, last, known, len(pids)); err == nil {
			result[pid], seen[pid] = bytes, next
		}
	}
	m.seen = seen
	return result
}

// measure is exact when that is due, and an estimate otherwise.
func (m *Meter) measure(pid int, last reading, known bool, processes int) (int64, reading, error) {
	now := m.now()
	seen, err := m.glance(pid)
	if err != nil {
		return 0, reading{}, err
	}
	if known && now.Sub(last.at) < last.pause(seen, processes) {
		return max(0, last.private+seen.resident-last.resident), last, nil
	}
	bytes, err := m.exact(pid)
	if err != nil {
		return 0, reading{}, err
	}
	done := m.now()
	return bytes, reading{seen, bytes, done, done.Sub(now)}, nil
}

// pause is how long a measurement must last, when so many processes share the
// Meter's part of the CPU and this is what is seen of the process now.
func (r reading) pause(seen glance, processes int) time.Duration {
	if seen == r.glance {
		return meterStill
	}
	return min(meterOldest, time.Duration(float64(r.cost)*float64(processes)/meterShare))
}

// NewTreeMeter returns a Meter that measures proportional shares (PSS) instead of
// private memory, so that the sum over the processes of a tree is true.
func NewTreeMeter() *Meter {
	m := NewMeter()
	m.exact = PSS
	return m
}
