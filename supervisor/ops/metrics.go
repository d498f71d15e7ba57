package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"crisper/broker"
)

const (
	// maxNames bounds the task names (and queues) that get series of their own:
	// names come from messages, and a sender can invent them.
	maxNames  = 1000
	otherName = "other"
)

// NewRegistry makes the registry that /metrics shows, with the collectors of the
// Go runtime and of our own process in it.
func NewRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// Metrics are the counters of a supervisor. Its methods are called from one
// goroutine, the loop, up to some 20 000 times a second: children of vectors are
// looked up in plain maps instead of hashing label values each time.
type Metrics struct {
	build                       *prometheus.GaugeVec
	received, finished, parked  *prometheus.CounterVec
	runtime                     *prometheus.HistogramVec
	deliveries                  *prometheus.GaugeVec
	takes, taken, restored      prometheus.Counter
	takeSeconds, loop           prometheus.Histogram
	settled, transitions        *prometheus.CounterVec
	slots                       *prometheus.GaugeVec
	zygotes, reconnects         prometheus.Counter
	reloadsFailed               prometheus.Counter
	childMemory, childMemoryMax prometheus.Gauge
	cgroup, cgroupLimit         prometheus.Gauge
	connected                   prometheus.Gauge
	ready, unacked, scheduled   *prometheus.GaugeVec
	oldest                      *prometheus.GaugeVec

	// Owned by the caller's goroutine.
	tasks     map[string]*taskSeries
	queues    map[string]bool
	verbs     map[string]prometheus.Counter
	places    [5]prometheus.Gauge
	states    map[string]prometheus.Gauge
	measured  map[string]bool // queues that have backlog series
	edges     map[edge]prometheus.Counter
	otherTask *taskSeries
}

type edge struct{ from, to, reason string }

// taskSeries are the series of one task name.
type taskSeries struct {
	label    string
	received map[string]prometheus.Counter // by queue
	finished map[string]prometheus.Counter // by outcome
	runtime  prometheus.Observer
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	r := registrar{reg}
	m := &Metrics{
		build:    r.gauges(defBuild),
		received: r.counters(defReceived), finished: r.counters(defFinished), parked: r.counters(defParked),
		runtime:    r.histograms(defRuntime),
		deliveries: r.gauges(defDeliveries),
		takes:      r.counter(defTakes), taken: r.counter(defTaken), restored: r.counter(defRestored),
		takeSeconds: r.histogram(defTakeSeconds), loop: r.histogram(defLoop),
		settled: r.counters(defSettled), transitions: r.counters(defTransitions),
		slots:   r.gauges(defSlots),
		zygotes: r.counter(defZygotes), reloadsFailed: r.counter(defReloadsFailed), reconnects: r.counter(defReconnects),
		childMemory: r.gauge(defChildMemory), childMemoryMax: r.gauge(defChildMemoryMax),
		cgroup: r.gauge(defCgroup), cgroupLimit: r.gauge(defCgroupLimit),
		connected: r.gauge(defConnected),
		ready:     r.gauges(defQueueReady), unacked: r.gauges(defQueueUnacked), scheduled: r.gauges(defQueueScheduled),
		oldest: r.gauges(defQueueOldest),

		tasks: map[string]*taskSeries{}, queues: map[string]bool{}, verbs: map[string]prometheus.Counter{},
		states: map[string]prometheus.Gauge{}, measured: map[string]bool{}, edges: map[edge]prometheus.Counter{},
	}
	for i, place := range []string{"reserved", "scheduled", "queued", "active", "settling"} {
		m.places[i] = m.deliveries.WithLabelValues(place)
	}
	return m
}

// Build shows the version.
func (m *Metrics) Build(version string) { m.build.WithLabelValues(version).Set(1) }

// TaskReceived counts a delivery.
func (m *Metrics) TaskReceived(task, queue string) {
	series := m.task(task)
	count, ok := series.received[queue]
	if !ok {
		count = m.received.WithLabelValues(series.label, m.queue(queue))
		if len(series.received) < maxNames {
			series.received[queue] = count
		}
	}
	count.Inc()
}

// TaskFinished counts an end. A runtime of 0 or less means that it never ran.
func (m *Metrics) TaskFinished(task, outcome string, runtime time.Duration) {
	series := m.task(task)
	count, ok := series.finished[outcome]
	if !ok {
		count = m.finished.WithLabelValues(series.label, outcome)
		series.finished[outcome] = count
	}
	count.Inc()
	if runtime > 0 {
		series.runtime.Observe(runtime.Seconds())
	}
}

// Parked counts a message that went to the dead-letter list.
func (m *Metrics) Parked(task string) { m.parked.WithLabelValues(m.task(task).label).Inc() }

func (m *Metrics) task(name string) *taskSeries {
	if series, ok := m.tasks[name]; ok {
		return series
	}
	if len(m.tasks) < maxNames {
		series := m.newTask(name)
		m.tasks[name] = series
		return series
	}
	if m.otherTask == nil {
		m.otherTask = m.newTask(otherName)
	}
	return m.otherTask
}

func (m *Metrics) newTask(label string) *taskSeries {
	return &taskSeries{
		label: label, received: map[string]prometheus.Counter{}, finished: map[string]prometheus.Counter{},
		runtime: m.runtime.WithLabelValues(label),
	}
}

func (m *Metrics) queue(name string) string {
	if m.queues[name] {
		return name
	}
	if len(m.queues) >= maxNames {
		return otherName
	}
	m.queues[name] = true
	return name
}

// Transition counts a change of a slot.
func (m *Metrics) Transition(from, to, reason string) {
	key := edge{from, to, reason}
	count, ok := m.edges[key]
	if !ok {
		count = m.transitions.WithLabelValues(from, to, reason)
		m.edges[key] = count
	}
	count.Inc()
}

// Slots shows how many slots are in each state; a state that is missing has none.
func (m *Metrics) Slots(byState map[string]int) {
	for state := range byState {
		if _, ok := m.states[state]; !ok {
			m.states[state] = m.slots.WithLabelValues(state)
		}
	}
	for state, series := range m.states {
		series.Set(float64(byState[state]))
	}
}

// Deliveries shows where the deliveries in hand are.
func (m *Metrics) Deliveries(c DeliveryCounts) {
	for i, n := range [...]int{c.Reserved, c.Scheduled, c.Queued, c.Active, c.Settling} {
		m.places[i].Set(float64(n))
	}
}

// Takes counts one request for messages that brought n of them.
func (m *Metrics) Takes(n int, took time.Duration) {
	m.takes.Inc()
	m.taken.Add(float64(n))
	m.takeSeconds.Observe(took.Seconds())
}

// Settled counts n deliveries that the broker confirmed.
func (m *Metrics) Settled(verb string, n int) {
	count, ok := m.verbs[verb]
	if !ok {
		count = m.settled.WithLabelValues(verb)
		m.verbs[verb] = count
	}
	count.Add(float64(n))
}

// Restored counts n deliveries of a dead peer that went back to their queues.
func (m *Metrics) Restored(n int) { m.restored.Add(float64(n)) }

// Backlog replaces the figures of the queues. nil means that the broker could
// not be asked: then there are no figures, because an autoscaler must not act on
// old ones.
func (m *Metrics) Backlog(queues map[string]broker.Backlog) {
	for name := range m.measured {
		if _, ok := queues[name]; !ok {
			for _, vector := range []*prometheus.GaugeVec{m.ready, m.unacked, m.scheduled, m.oldest} {
				vector.DeleteLabelValues(name)
			}
			delete(m.measured, name)
		}
	}
	for name, backlog := range queues {
		m.measured[name] = true
		m.ready.WithLabelValues(name).Set(float64(backlog.Ready))
		m.unacked.WithLabelValues(name).Set(float64(backlog.Unacked))
		m.scheduled.WithLabelValues(name).Set(float64(backlog.Scheduled))
		m.oldest.WithLabelValues(name).Set(backlog.OldestAge.Seconds())
	}
}

// BrokerConnected shows whether there is a connection.
func (m *Metrics) BrokerConnected(connected bool) {
	value := 0.0
	if connected {
		value = 1
	}
	m.connected.Set(value)
}

// BrokerReconnect counts a connection that was lost or could not be made.
func (m *Metrics) BrokerReconnect() { m.reconnects.Inc() }

// ChildMemory shows the private memory of all children and of the fattest.
func (m *Metrics) ChildMemory(sum, largest int64) {
	m.childMemory.Set(float64(sum))
	m.childMemoryMax.Set(float64(largest))
}

// Cgroup shows the memory of the pod.
func (m *Metrics) Cgroup(c CgroupState) {
	m.cgroup.Set(float64(c.CurrentBytes))
	m.cgroupLimit.Set(float64(c.LimitBytes))
}

// ReloadFailed counts a generation that could not take over.
func (m *Metrics) ReloadFailed() { m.reloadsFailed.Inc() }

// ZygoteStarted counts a generation.
func (m *Metrics) ZygoteStarted() { m.zygotes.Inc() }

// LoopLatency observes one turn of the loop.
func (m *Metrics) LoopLatency(took time.Duration) { m.loop.Observe(took.Seconds()) }
