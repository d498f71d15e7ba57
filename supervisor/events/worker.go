package events

import (
	"strconv"
	"strings"
	"time"

	"crisper/broker"
)

// Status is what a worker says of itself with each heartbeat.
type Status struct {
	Active    int        // tasks that run now
	Processed int64      // tasks begun since the start
	Load      [3]float64 // the machine's load averages
}

// Online is the first sign of life; heartbeats follow (celery/worker/heartbeat.py).
func (s *Sender) Online(now time.Time, st Status) {
	if s.cfg.Heartbeat <= 0 || s.online {
		return
	}
	s.online = true
	s.beat = now.Add(s.cfg.Heartbeat)
	s.worker(now, "worker-online", s.cfg.Heartbeat.Seconds(), &st)
}

// Beats tells whether a heartbeat is due.
func (s *Sender) Beats(now time.Time) bool { return s.online && !now.Before(s.beat) }

// Beat sends the heartbeat that is due; while the broker is away it is only
// counted off.
func (s *Sender) Beat(now time.Time, st Status, connected bool) {
	s.beat = now.Add(s.pause())
	if !connected {
		return
	}
	s.worker(now, "worker-heartbeat", s.cfg.Heartbeat.Seconds(), &st)
}

// unheardPause: while nobody listens, so many periods lie between two heartbeats.
// Celery: every period is told, whoever hears it.
const unheardPause = 3

func (s *Sender) pause() time.Duration {
	if s.unheard {
		return unheardPause * s.cfg.Heartbeat
	}
	return s.cfg.Heartbeat
}

// Heard tells whether somebody listens. Whoever begins to listen hears the next
// heartbeat after at most three periods, and every one from then on.
func (s *Sender) Heard(now time.Time, heard bool) {
	s.unheard = !heard
	if next := now.Add(s.pause()); s.online && s.beat.After(next) {
		s.beat = next
	}
}

// Offline is the last sign of life.
func (s *Sender) Offline(now time.Time, st Status) {
	if !s.online {
		return
	}
	s.online = false
	s.worker(now, "worker-offline", s.cfg.Heartbeat.Seconds(), &st)
}

// Pulse is the heartbeat that remote control asks for. Celery: it says a frequency
// of 5 and no figures (worker/control.py, heartbeat, 5.7).
func (s *Sender) Pulse(now time.Time) { s.worker(now, "worker-heartbeat", 5, nil) }

func (s *Sender) worker(now time.Time, kind string, freq float64, st *Status) {
	s.close() // what happened before is told before
	b := s.head(nil, now)
	b = append(name(b, "freq"), pythonFloat(freq, st != nil)...)
	if st != nil {
		b = append(name(b, "active"), strconv.Itoa(st.Active)...)
		b = append(name(b, "processed"), strconv.FormatInt(st.Processed, 10)...)
		b = append(name(b, "loadavg"), '[')
		for i, l := range st.Load {
			if i > 0 {
				b = append(b, ',', ' ')
			}
			b = append(b, number(l)...)
		}
		b = append(b, ']')
	}
	b = text(b, "sw_ident", s.cfg.Software.Ident)
	b = text(b, "sw_ver", s.cfg.Software.Version)
	b = text(b, "sw_sys", s.cfg.Software.System)
	b = s.tail(b, now, kind)
	s.add(broker.Publication{
		Exchange: s.cfg.Exchange, RoutingKey: strings.Replace(kind, "-", ".", 1), Headers: s.header, Body: b,
	})
}

// pythonFloat writes 2 as 2.0 where Python has a float.
func pythonFloat(f float64, float bool) string {
	js := number(f)
	if float && !strings.ContainsAny(js, ".eE") {
		js += ".0"
	}
	return js
}
