package ops

import "github.com/prometheus/client_golang/prometheus"

// registrar makes metrics from their definitions and registers them.
type registrar struct{ reg prometheus.Registerer }

func (r registrar) counters(d definition) *prometheus.CounterVec {
	vector := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.name, Help: d.help}, d.labels)
	r.reg.MustRegister(vector)
	return vector
}

func (r registrar) counter(d definition) prometheus.Counter {
	return r.counters(d).WithLabelValues()
}

func (r registrar) gauges(d definition) *prometheus.GaugeVec {
	vector := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.name, Help: d.help}, d.labels)
	r.reg.MustRegister(vector)
	return vector
}

func (r registrar) gauge(d definition) prometheus.Gauge {
	return r.gauges(d).WithLabelValues()
}

func (r registrar) histograms(d definition) *prometheus.HistogramVec {
	vector := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.name, Help: d.help, Buckets: d.buckets}, d.labels)
	r.reg.MustRegister(vector)
	return vector
}

func (r registrar) histogram(d definition) prometheus.Histogram {
	return r.histograms(d).WithLabelValues().(prometheus.Histogram)
}
