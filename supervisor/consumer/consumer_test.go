package consumer

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/broker/celerymsg"
)

func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const noon = "2026-06-01T12:00:00Z"

func testConfig() Config {
	return Config{
		Tasks: map[string]Task{
			"plain": {},
			"late":  {AcksLate: true, Soft: 5 * time.Second, Hard: 10 * time.Second},
		},
		Accept:    []string{"application/json"},
		HardLimit: time.Hour, PoisonLimit: 3,
	}
}

// message is a JSON message for task with further headers.
func message(task, headers string) celerymsg.Message {
	return celerymsg.ParseEnvelope(fmt.Appendf(nil,
		`{"headers": {"task": %q, "id": "i"%s}, "content-type": "application/json", "body": "[[], {}, {}]", "properties": {}}`, task, headers))
}

// Each row says where Celery 5.7 decides so.
func TestFateOfADelivery(t *testing.T) {
	tests := []struct {
		name   string
		m      celerymsg.Message
		deaths int
		want   Fate
	}{
		// Dispatch: celery/worker/consumer/consumer.py
		{"an envelope that cannot be read (:565)", celerymsg.ParseEnvelope([]byte("{")), 0, Undecodable{Reason: "the envelope is not a JSON object"}},
		{"nothing names a task (:747)", celerymsg.ParseEnvelope([]byte(`{"headers": {}, "content-type": "application/json", "body": "{}"}`)), 0,
			Unroutable{Reason: "neither headers nor body name a task"}},
		{"a task that is not registered (:752)", message("other", ""), 0, Unknown{Task: "other"}},
		{"not registered comes before everything else", message("other", `, "expires": "2020-01-01T00:00:00", "eta": "bad"`), 9, Unknown{Task: "other"}},
		// Reading the request: celery/worker/request.py
		{"content that is not accepted (:117)", celerymsg.Message{Task: "plain", ID: "i", ContentType: "application/x-python-serialize"}, 0,
			Invalid{Reason: "ContentDisallowed: Refusing to deserialize untrusted content of type application/x-python-serialize"}},
		{"content of no type holds nothing to refuse (kombu/serialization.py:253)", celerymsg.Message{Task: "plain", ID: "i"}, 0, Run{Hard: time.Hour}},
		{"bytes are trusted", celerymsg.Message{Task: "plain", ID: "i", ContentType: "application/data"}, 0, Run{Hard: time.Hour}},
		{"an eta that is no time (:145)", message("plain", `, "eta": "tomorrow"`), 0, Invalid{Reason: `invalid ETA value: cannot read time "tomorrow": no year`}},
		{"an expiry that is no time (:156)", message("plain", `, "expires": "2026-02-30"`), 0, Invalid{Reason: `invalid expires value: cannot read time "2026-02-30": no such day`}},
		{"eta is read before expires", message("plain", `, "expires": "x", "eta": 5`), 0, Invalid{Reason: "invalid ETA value 5: not a string"}},
		// Expiry: request.py:415-421
		{"past its expiry", message("plain", `, "expires": "2026-06-01T11:59:59+00:00"`), 0, Expired{At: at(t, "2026-06-01T11:59:59Z")}},
		{"at its expiry it still runs (now > expires)", message("plain", `, "expires": "2026-06-01T12:00:00+00:00"`), 0, Run{Hard: time.Hour}},
		{"an expiry without offset is UTC (utils/time.py, maybe_make_aware)", message("plain", `, "expires": "2026-06-01T12:00:01"`), 0, Run{Hard: time.Hour}},
		{"an expiry in another zone", message("plain", `, "expires": "2026-06-01T13:59:59+02:00"`), 0, Expired{At: at(t, "2026-06-01T11:59:59Z")}},
		{"expired comes before poisoned", message("plain", `, "expires": "2026-06-01T11:00:00Z"`), 9, Expired{At: at(t, "2026-06-01T11:00:00Z")}},
		// Ours
		{"killed fewer children than the limit", message("plain", ""), 2, Run{Hard: time.Hour}},
		{"killed as many as the limit", message("plain", ""), 3, Poisoned{Deaths: 3, Limit: 3}},
		{"poisoned comes before its ETA", message("plain", `, "eta": "2026-06-01T13:00:00Z"`), 3, Poisoned{Deaths: 3, Limit: 3}},
		// ETA: strategy.py:181-211
		{"an ETA ahead", message("late", `, "eta": "2026-06-01T12:00:01.5+00:00"`), 0,
			Wait{Run: Run{5 * time.Second, 10 * time.Second, true}, Until: at(t, noon).Add(1500 * time.Millisecond)}},
		{"an ETA that is now", message("late", `, "eta": "2026-06-01T12:00:00+00:00"`), 0, Run{5 * time.Second, 10 * time.Second, true}},
		{"an ETA that is past", message("plain", `, "eta": "2020-01-01"`), 0, Run{Hard: time.Hour}},
		// Limits: request.py:348-374, the message's before the task's before the worker's
		{"limits of the worker", message("plain", ""), 0, Run{Hard: time.Hour}},
		{"limits of the task", message("late", ""), 0, Run{5 * time.Second, 10 * time.Second, true}},
		{"limits of the message", message("late", `, "timelimit": [3, 2]`), 0, Run{2 * time.Second, 3 * time.Second, true}},
		{"only the hard limit in the message", message("late", `, "timelimit": [3, null]`), 0, Run{5 * time.Second, 3 * time.Second, true}},
		{"0 is as good as none", message("late", `, "timelimit": [0, 0]`), 0, Run{5 * time.Second, 10 * time.Second, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := New(testConfig()).Receive(at(t, noon), &tt.m, tt.deaths)
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(time.Time.Equal)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatExpiredOnceStaysRevoked(t *testing.T) {
	c := New(testConfig())
	m := message("plain", `, "expires": "2026-06-01T11:00:00Z"`)
	c.Receive(at(t, noon), &m, 0)
	again := message("plain", "") // the same id, without an expiry (request.py:420)
	if fate := c.Receive(at(t, noon), &again, 0); fate != (Revoked{}) {
		t.Errorf("%#v", fate)
	}
}

func TestAtStartAsksForExpiryAndRevocationAgain(t *testing.T) {
	c := New(testConfig())
	m := message("plain", `, "expires": "2026-06-01T12:00:10Z"`)
	if fate := c.AtStart(at(t, noon), &m); fate != nil {
		t.Errorf("not expired yet: %#v", fate)
	}
	if fate, ok := c.AtStart(at(t, "2026-06-01T12:00:11Z"), &m).(Expired); !ok {
		t.Errorf("expired while it waited: %#v", fate)
	}
	plain := message("plain", "")
	c = New(testConfig())
	c.Revoked().Add(at(t, noon), "i")
	if fate := c.AtStart(at(t, noon), &plain); fate != (Revoked{}) {
		t.Errorf("revoked while it waited: %#v", fate)
	}
}

func TestTasksAreRevokedByTheirStamps(t *testing.T) {
	tests := []struct {
		name, headers string
		want          Fate
	}{
		{"a list of values", `, "stamped_headers": ["run", "team"], "stamps": {"run": ["a", "b"], "team": ["x"]}`, Revoked{By: "run=b"}},
		{"one value (request.py:503)", `, "stamped_headers": ["run"], "stamps": {"run": "b"}`, Revoked{By: "run=b"}},
		{"a number", `, "stamped_headers": ["run"], "stamps": {"run": [7]}`, Revoked{By: "run=7"}},
		{"another value", `, "stamped_headers": ["run"], "stamps": {"run": ["c", null]}`, Run{Hard: time.Hour}},
		{"not named in stamped_headers", `, "stamped_headers": ["team"], "stamps": {"run": ["b"]}`, Run{Hard: time.Hour}},
		{"no stamps at all", `, "stamped_headers": ["run"]`, Run{Hard: time.Hour}},
		{"stamps of a strange shape", `, "stamped_headers": {"run": 1}, "stamps": []`, Run{Hard: time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := New(testConfig())
			c.RevokeStamps("run", "b", "7")
			m := message("plain", tt.headers)
			if got := c.Receive(at(t, noon), &m, 0); got != tt.want {
				t.Errorf("%#v", got)
			}
		})
	}
}

func TestTheNextGenerationInheritsWhatWasRevoked(t *testing.T) {
	old, next := New(testConfig()), New(testConfig())
	old.Revoked().Add(at(t, noon), "i")
	next.Inherit(nil)
	next.Inherit(old)
	m := message("plain", "")
	if got := next.Receive(at(t, noon), &m, 0); got != (Revoked{}) {
		t.Errorf("%#v", got)
	}
}

func TestConfigTellsAllItsProblems(t *testing.T) {
	if err := testConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{SoftLimit: -1, PoisonLimit: -1, RevokesMax: -1}.Validate()
	if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != 3 {
		t.Errorf("%v", err)
	}
}

func TestAPlainDeliveryCostsNoAllocation(t *testing.T) {
	c, now := New(testConfig()), at(t, noon)
	m := message("plain", `, "expires": "2026-06-01T12:30:00.5+00:00"`)
	if n := testing.AllocsPerRun(100, func() {
		c.Receive(now, &m, 0)
		c.AtStart(now, &m)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReceivePlain(b *testing.B) {
	c, now := New(testConfig()), at(b, noon)
	m := message("plain", "")
	b.ReportAllocs()
	for b.Loop() {
		c.Receive(now, &m, 0)
		c.AtStart(now, &m)
	}
}
