package events

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

var start = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func sender(change func(*Config)) *Sender {
	cfg := Config{
		Hostname: "w@h", PID: 7, Exchange: "celeryev", Heartbeat: 2 * time.Second, Tasks: true,
		Software: Software{Ident: "py-celery", Version: "5.7.0", System: "Linux"},
	}
	if change != nil {
		change(&cfg)
	}
	return NewSender(cfg, new(Clock))
}

// told reads all messages back: their routing keys and events.
func told(t *testing.T, batch []broker.Publication) (keys []string, events []map[string]any) {
	t.Helper()
	for _, p := range batch {
		keys = append(keys, p.RoutingKey)
		var list []map[string]any
		if p.RoutingKey == "task.multi" {
			if err := json.Unmarshal(p.Body, &list); err != nil {
				t.Fatalf("%v in %s", err, p.Body)
			}
		} else {
			list = []map[string]any{{}}
			if err := json.Unmarshal(p.Body, &list[0]); err != nil {
				t.Fatalf("%v in %s", err, p.Body)
			}
		}
		events = append(events, list...)
	}
	return keys, events
}

func TestEventsHaveCelerysFields(t *testing.T) {
	m := &celerymsg.Message{
		ID: "i", Task: "proj.add", ArgsRepr: `("ä\"", 2)`, KwargsRepr: "{}", RootID: "r", Retries: 1,
		ETA: "2026-06-01T13:00:00.25Z", Expires: "2026-06-02T00:00:00",
	}
	status := Status{Active: 1, Processed: 9, Load: [3]float64{0.5, 1, 2}}
	tests := []struct {
		name string
		tell func(*Sender)
		want map[string]any
	}{
		{"received", func(s *Sender) { s.Received(start, m) }, map[string]any{
			"type": "task-received", "uuid": "i", "name": "proj.add", "args": `("ä\"", 2)`, "kwargs": "{}", "root_id": "r", "parent_id": nil,
			"retries": 1.0, "eta": "2026-06-01T13:00:00.250000+00:00", "expires": "2026-06-02T00:00:00+00:00",
		}},
		{"received under another name", func(s *Sender) {
			s.Received(start, &celerymsg.Message{ID: "i", Task: "proj.add", Shadow: "sum"})
		}, map[string]any{
			"type": "task-received", "uuid": "i", "name": "sum", "args": "", "kwargs": "", "root_id": nil, "parent_id": nil,
			"retries": 0.0, "eta": nil, "expires": nil,
		}},
		{"started", func(s *Sender) { s.Started(start, "i") }, map[string]any{"type": "task-started", "uuid": "i"}},
		{"succeeded", func(s *Sender) { s.Succeeded(start, "i", "42", 1500*time.Microsecond) }, map[string]any{
			"type": "task-succeeded", "uuid": "i", "result": "42", "runtime": 0.0015}},
		{"failed", func(s *Sender) { s.Failed(start, "i", "ValueError('x')", "Traceback\n") }, map[string]any{
			"type": "task-failed", "uuid": "i", "exception": "ValueError('x')", "traceback": "Traceback\n"}},
		{"rejected", func(s *Sender) { s.Rejected(start, "i", true) }, map[string]any{"type": "task-rejected", "uuid": "i", "requeue": true}},
		{"what Celery's own code made", func(s *Sender) {
			s.Recorded(start, map[string]any{"type": "task-revoked", "uuid": "i", "terminated": true, "signum": 15})
		}, map[string]any{"type": "task-revoked", "uuid": "i", "terminated": true, "signum": 15.0}},
		{"online", func(s *Sender) { s.Online(start, status) }, map[string]any{
			"type": "worker-online", "freq": 2.0, "active": 1.0, "processed": 9.0, "loadavg": []any{0.5, 1.0, 2.0},
			"sw_ident": "py-celery", "sw_ver": "5.7.0", "sw_sys": "Linux"}},
		{"the heartbeat that is asked for", func(s *Sender) { s.Pulse(start) }, map[string]any{
			"type": "worker-heartbeat", "freq": 5.0, "sw_ident": "py-celery", "sw_ver": "5.7.0", "sw_sys": "Linux"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := sender(nil)
			tt.tell(s)
			_, events := told(t, s.Collect())
			for key, value := range map[string]any{"hostname": "w@h", "pid": 7.0, "utcoffset": 0.0, "clock": 1.0, "timestamp": float64(start.Unix())} {
				tt.want[key] = value
			}
			if diff := cmp.Diff([]map[string]any{tt.want}, events); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEventsLeaveInTheOrderInWhichTheyHappened(t *testing.T) {
	s := sender(func(c *Config) { c.Limit = 3 })
	for i := range 4 {
		s.Started(start, fmt.Sprint(i))
	}
	s.Online(start, Status{})
	s.Succeeded(start.Add(-time.Hour), "0", "", 0) // the clock was set back
	keys, events := told(t, s.Collect())
	if got := fmt.Sprint(keys); got != "[task.multi task.multi worker.online task.multi]" {
		t.Error(got)
	}
	for i := 1; i < len(events); i++ {
		if events[i]["clock"].(float64) <= events[i-1]["clock"].(float64) || events[i]["timestamp"].(float64) < events[i-1]["timestamp"].(float64) {
			t.Errorf("%v after %v", events[i], events[i-1])
		}
	}
}

func TestTaskEventsAreSentOnlyWhenWanted(t *testing.T) {
	s := sender(func(c *Config) { c.Tasks = false })
	s.Started(start, "a")
	if len(s.Collect()) != 0 || s.Disable() || !s.Enable() || s.Enable() {
		t.Error("they were wanted before anybody enabled them")
	}
	s.Started(start, "b")
	if len(s.Collect()) != 1 || !s.Disable() || s.Wants() {
		t.Error("they are not wanted although they were enabled")
	}
	if s := sender(nil); s.Enable() || s.Disable() || !s.Wants() {
		t.Error("Celery: what -E enabled is enabled already and stays so")
	}
}

func TestHeartbeatsAreDueAtTheirInterval(t *testing.T) {
	s := sender(nil)
	if s.Beats(start.Add(time.Hour)) {
		t.Error("a heartbeat before the worker is online")
	}
	s.Online(start, Status{})
	if next := s.NextWake(); !next.Equal(start.Add(2*time.Second)) || s.Beats(start.Add(time.Second)) || !s.Beats(next) {
		t.Errorf("next at %s", next)
	}
	s.Beat(start.Add(2*time.Second), Status{}, false)
	s.Beat(start.Add(2*time.Second), Status{}, true)
	s.Offline(start.Add(3*time.Second), Status{})
	keys, _ := told(t, s.Collect())
	if got := fmt.Sprint(keys); got != "[worker.online worker.heartbeat worker.offline]" || !s.NextWake().IsZero() {
		t.Error(got)
	}
	if s := sender(func(c *Config) { c.Heartbeat = 0 }); true {
		s.Online(start, Status{})
		s.Offline(start, Status{})
		if len(s.Collect()) != 0 {
			t.Error("--without-heartbeat has a heartbeat")
		}
	}
}

func TestAnEventWaitsForCompanyButNotForLong(t *testing.T) {
	s := sender(nil)
	s.Started(start, "a")
	if s.Due(start) || !s.Due(s.NextWake()) || s.NextWake().Sub(start) != Patience {
		t.Error("not due when it should be")
	}
}

func TestWhileTheBrokerIsAwayTheOldestListsAreDropped(t *testing.T) {
	s := sender(func(c *Config) { c.Limit, c.Backlog = 1, 1000 })
	s.Online(start, Status{})
	for i := range 20 {
		s.Started(start, fmt.Sprint("task-", i))
		s.Return(s.Collect())
	}
	keys, events := told(t, s.Collect())
	if s.Dropped == 0 || events[len(events)-1]["uuid"] != "task-19" || strings.Contains(fmt.Sprint(keys), "worker") {
		t.Errorf("%d dropped, %v", s.Dropped, keys)
	}
}

func TestOffsetsAreHoursWestOfUTC(t *testing.T) {
	for _, tt := range []struct {
		east         int
		exact, whole string
	}{{0, "0.0", "0"}, {7200, "-2.0", "-2"}, {-18000, "5.0", "5"}, {19800, "-5.5", "-6"}} {
		at := start.In(time.FixedZone("", tt.east))
		if exact, whole := utcOffset(at, false), utcOffset(at, true); exact != tt.exact || whole != tt.whole {
			t.Errorf("%d s east: %s and %s", tt.east, exact, whole)
		}
	}
}

func BenchmarkThreeEventsOfATask(b *testing.B) {
	s := sender(nil)
	m := &celerymsg.Message{ID: "0b9f3a2e-0000-4000-8000-000000000000", Task: "proj.add", ArgsRepr: "(1, 2)", KwargsRepr: "{}"}
	b.ReportAllocs()
	for b.Loop() {
		s.Received(start, m)
		s.Started(start, m.ID)
		s.Succeeded(start, m.ID, "3", time.Millisecond)
		if len(s.ready) > 3 {
			s.Collect()
		}
	}
}

func TestHeartbeatsThatNobodyHearsComeSeldomUntilSomebodyDoes(t *testing.T) {
	s := sender(nil)
	s.Online(start, Status{})
	s.Heard(start, false)
	at := start.Add(2 * time.Second)
	if !s.Beats(at) {
		t.Fatal("the first heartbeat is late")
	}
	s.Beat(at, Status{}, true)
	if s.Beats(at.Add(5*time.Second)) || !s.Beats(at.Add(6*time.Second)) {
		t.Error("unheard heartbeats are not three periods apart")
	}
	s.Heard(at.Add(time.Second), true)
	if !s.Beats(at.Add(3 * time.Second)) {
		t.Error("somebody listens, and the next heartbeat is more than a period away")
	}
}
