package ops

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"crisper/supervisor/ops"
)

// caughtUpAfter is the lateness from which a tick was made up rather than late.
const caughtUpAfter = time.Second

// Metrics are the counters of a beat, and the same figures for the state page. Any
// number of goroutines may use them.
type Metrics struct {
	registry                 *prometheus.Registry
	leader, term, broker     prometheus.Gauge
	terms, caughtUp          prometheus.Counter
	unmade, errors           prometheus.Counter
	ticks, skipped           *prometheus.CounterVec
	lateness                 prometheus.Histogram
	mu                       sync.Mutex
	counts                   Counts // guarded by mu
	published, already, away prometheus.Counter
}

// NewMetrics makes a registry with the metrics in it.
func NewMetrics(version string) *Metrics {
	reg := ops.NewRegistry()
	m := &Metrics{
		registry: reg,
		leader:   gauge(reg, defLeader).WithLabelValues(), term: gauge(reg, defTerm).WithLabelValues(), broker: gauge(reg, defBroker).WithLabelValues(),
		terms: counter(reg, defTerms).WithLabelValues(), caughtUp: counter(reg, defCaughtUp).WithLabelValues(),
		unmade: counter(reg, defUnmade).WithLabelValues(), errors: counter(reg, defErrors).WithLabelValues(),
		ticks: counter(reg, defTicks), skipped: counter(reg, defSkipped),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{Name: defLateness.name, Help: defLateness.help, Buckets: defLateness.buckets}),
		counts:   Counts{Ticks: map[string]int64{}, Skipped: map[string]int64{}},
	}
	reg.MustRegister(m.lateness)
	m.published, m.already, m.away = m.ticks.WithLabelValues("published"), m.ticks.WithLabelValues("already"), m.ticks.WithLabelValues("unroutable")
	for _, reason := range []string{"gap", "limit", "deadline"} {
		m.skipped.WithLabelValues(reason)
	}
	gauge(reg, defBuild).WithLabelValues(version).Set(1)
	return m
}

func gauge(reg prometheus.Registerer, d definition) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.name, Help: d.help}, d.labels)
	reg.MustRegister(v)
	return v
}

func counter(reg prometheus.Registerer, d definition) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.name, Help: d.help}, d.labels)
	reg.MustRegister(v)
	return v
}

// Registry is what /metrics shows.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

func (m *Metrics) count(do func(c *Counts)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do(&m.counts)
}

// TermBegan counts a term.
func (m *Metrics) TermBegan(token uint64) {
	m.leader.Set(1)
	m.term.Set(float64(token))
	m.terms.Inc()
	m.count(func(c *Counts) { c.Terms++ })
}

// TermEnded says that this replica does not lead.
func (m *Metrics) TermEnded() {
	m.leader.Set(0)
	m.term.Set(0)
	m.broker.Set(0)
}

// Tick counts one that was settled.
func (m *Metrics) Tick(outcome string, late time.Duration) {
	made := outcome == "published"
	switch {
	case made:
		m.published.Inc()
		m.lateness.Observe(late.Seconds())
		if late > caughtUpAfter {
			m.caughtUp.Inc()
		}
	case outcome == "already":
		m.already.Inc()
	default:
		m.away.Inc()
	}
	m.count(func(c *Counts) {
		c.Ticks[outcome]++
		if made && late > caughtUpAfter {
			c.CaughtUp++
		}
	})
}

// Skipped counts due moments that are not sent.
func (m *Metrics) Skipped(reason string, n int) {
	m.skipped.WithLabelValues(reason).Add(float64(n))
	m.count(func(c *Counts) { c.Skipped[reason] += int64(n) })
}

// Unmade counts a message that the app could not make.
func (m *Metrics) Unmade() { m.unmade.Inc(); m.count(func(c *Counts) { c.Unmade++ }) }

// PublishError counts a request without an answer.
func (m *Metrics) PublishError() {
	m.errors.Inc()
	m.count(func(c *Counts) { c.PublishErrors++ })
}

// BrokerConnected says whether the broker answers.
func (m *Metrics) BrokerConnected(yes bool) {
	value := 0.0
	if yes {
		value = 1
	}
	m.broker.Set(value)
}

// Counts is a copy of the figures.
func (m *Metrics) Counts() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.counts
	c.Ticks, c.Skipped = clone(c.Ticks), clone(c.Skipped)
	return c
}

func clone(from map[string]int64) map[string]int64 {
	to := make(map[string]int64, len(from))
	for k, v := range from {
		to[k] = v
	}
	return to
}
