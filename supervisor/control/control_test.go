package control

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crisper/broker/celerymsg"
)

// fake is a worker that runs one task, has one reserved and one scheduled.
type fake struct {
	clock              int64
	events, undoable   bool
	scaled, restarts   bool
	slots              int
	revoked            []string
	active, res, sched []Task
}

func newFake() *fake {
	return &fake{
		undoable: true, slots: 2, revoked: []string{"old"},
		active: []Task{{ID: "a", Handle: 7, ArgsRepr: "(1,)", KwargsRepr: "{}", Args: json.RawMessage("[1]"), Stamps: map[string][]string{"team": {"red", "blue"}}}},
		res:    []Task{{ID: "r"}}, sched: []Task{{ID: "s", ETA: "2026-06-01T12:00:00+00:00"}},
	}
}

func (f *fake) Hostname() string  { return "w@h" }
func (f *fake) Clock() int64      { return f.clock }
func (f *fake) Forward() int64    { f.clock++; return f.clock }
func (f *fake) Active() []Task    { return append([]Task(nil), f.active...) }
func (f *fake) Reserved() []Task  { return f.res }
func (f *fake) Scheduled() []Task { return f.sched }
func (f *fake) Revoked() []string { return f.revoked }
func (f *fake) Queues() []json.RawMessage {
	return []json.RawMessage{json.RawMessage(`{"name":"celery"}`)}
}
func (f *fake) Stats() Stats                 { return Stats{PID: 1} }
func (f *fake) Known(task string) bool       { return task == "proj.add" }
func (f *fake) Custom(method string) bool    { return method == "custom" }
func (f *fake) EventsOn() (bool, bool)       { return f.events, f.undoable }
func (f *fake) Autoscaler() (int, int, bool) { return 8, 2, f.scaled }
func (f *fake) Slots() int                   { return f.slots }
func (f *fake) Restarts() bool               { return f.restarts }
func (f *fake) Signal(name string) (int, bool) {
	n, known := map[string]int{"SIGTERM": 15, "SIGKILL": 9}[name]
	return n, known
}

func TestCommandsReplyAndActAsCelerys(t *testing.T) {
	tests := []struct {
		mail    string // the method and its arguments
		change  func(*fake)
		reply   string
		actions []Action
		python  string
	}{
		{mail: `ping {}`, reply: `{"ok":"pong"}`},
		{mail: `clock {}`, reply: `{"clock":0}`},
		{mail: `hello {"from_node": "w@h"}`, reply: `null`},
		{mail: `hello {"from_node": "o@h", "revoked": ["x", "old"]}`, reply: `{"clock":1,"revoked":["old","x"]}`, actions: []Action{Revoke{IDs: []string{"x", "old"}, Quiet: true}}},
		{mail: `hello {"from_node": "o@h", "revoked": {"y": [1.5, "y"]}}`, reply: `{"clock":1,"revoked":["old","y"]}`, actions: []Action{Revoke{IDs: []string{"y"}, Quiet: true}}},
		{mail: `revoked {}`, reply: `["old"]`},
		{mail: `dump_revoked {}`, reply: `["old"]`},
		{mail: `reserved {}`, change: func(f *fake) { f.res = nil }, reply: `[]`},
		{mail: `active_queues {}`, reply: `[{"name":"celery"}]`},
		{mail: `query_task {"ids": "nobody"}`, reply: `{}`},
		{mail: `nonsense {}`, reply: `{"error":"KeyError('nonsense')"}`},
		{mail: `revoke {}`, reply: `{"error":"TypeError(\"revoke() missing 1 required positional argument: 'task_id'\")"}`},
		{mail: `terminate {}`, reply: `{"error":"TypeError(\"terminate() missing 2 required positional arguments: 'signal' and 'task_id'\")"}`},
		{mail: `conf {"with_defaults": true}`, reply: `null`, python: "panel"},
		{mail: `custom {}`, reply: `null`, python: "panel"},

		{mail: `revoke {"task_id": "x"}`, reply: `{"ok":"tasks {'x'} flagged as revoked"}`, actions: []Action{Revoke{IDs: []string{"x"}}}, python: "mark_revoked"},
		{mail: `revoke {"task_id": ["a", "a"]}`, reply: `{"ok":"tasks {'a'} flagged as revoked"}`, actions: []Action{Revoke{IDs: []string{"a"}}}},
		{mail: `revoke {"task_id": "a", "terminate": true, "signal": "KILL"}`, reply: `{"ok":"terminate: a"}`,
			actions: []Action{Revoke{IDs: []string{"a"}, Quiet: true}, Terminate{Handle: 7, ID: "a", Signal: "SIGKILL"}}},
		{mail: `revoke {"task_id": ["r"], "terminate": true}`, reply: `{"ok":"terminate: r"}`, actions: []Action{Revoke{IDs: []string{"r"}, Quiet: true}, Terminate{ID: "r", Signal: "SIGTERM"}}, python: "mark_revoked"},
		{mail: `terminate {"task_id": "x", "signal": "SIGTERM"}`, reply: `{"ok":"terminate: tasks unknown"}`, actions: []Action{Revoke{IDs: []string{"x"}, Quiet: true}}, python: "mark_revoked"},
		{mail: `revoke {"task_id": "a", "terminate": true, "signal": "kill"}`, reply: `{"error":"TypeError('signal name must be uppercase string.')"}`, actions: []Action{Revoke{IDs: []string{"a"}, Quiet: true}}},
		{mail: `revoke_by_stamped_headers {"headers": {"team": "red"}}`, reply: `{"ok":"headers {'team': 'red'} flagged as revoked, but not terminated"}`,
			actions: []Action{RevokeStamps{Stamp: "team", Values: []string{"red"}}}},
		{mail: `revoke_by_stamped_headers {"headers": ["team=red"], "terminate": true}`, reply: `{"ok":"headers defaultdict(\u003cclass 'set'\u003e, {'team': {'red'}}) revoked"}`,
			actions: []Action{RevokeStamps{Stamp: "team", Values: []string{"red"}}, Terminate{Handle: 7, ID: "a", Signal: "SIGTERM"}}},
		{mail: `revoke_by_stamped_headers {"headers": {"team": [1, null]}, "terminate": true}`, reply: `{"ok":"headers {'team': [1, None]} were not terminated"}`,
			actions: []Action{RevokeStamps{Stamp: "team", Values: []string{"1"}}}},

		{mail: `rate_limit {"task_name": "proj.add", "rate_limit": "6/m"}`, reply: `{"ok":"new rate limit set successfully"}`,
			actions: []Action{SetRate{Task: "proj.add", Rate: "6/m", PerSecond: 0.1}}},
		{mail: `rate_limit {"task_name": "proj.add", "rate_limit": null}`, reply: `{"ok":"rate limit disabled successfully"}`, actions: []Action{SetRate{Task: "proj.add"}}},
		{mail: `rate_limit {"task_name": "proj.add", "rate_limit": "x/s"}`, reply: `{"error":"Invalid rate limit string: ValueError(\"could not convert string to float: 'x'\")"}`},
		{mail: `rate_limit {"task_name": "proj.add", "rate_limit": "5/z"}`, reply: `{"error":"Invalid rate limit string: KeyError('z')"}`},
		{mail: `rate_limit {"task_name": "other", "rate_limit": 3}`, reply: `{"error":"unknown task"}`},
		{mail: `time_limit {"task_name": "proj.add", "soft": "1.5", "hard": 2}`, reply: `{"ok":"time limits set successfully"}`,
			actions: []Action{SetLimits{Task: "proj.add", Soft: 1.5, Hard: 2}}},
		{mail: `enable_events {}`, reply: `{"ok":"task events enabled"}`, actions: []Action{EnableEvents{}}},
		{mail: `enable_events {}`, change: func(f *fake) { f.events = true }, reply: `{"ok":"task events already enabled"}`},
		{mail: `disable_events {}`, change: func(f *fake) { f.events = true }, reply: `{"ok":"task events disabled"}`, actions: []Action{DisableEvents{}}},
		{mail: `disable_events {}`, change: func(f *fake) { f.events, f.undoable = true, false }, reply: `{"ok":"task events already disabled"}`},
		{mail: `heartbeat {}`, reply: `null`, actions: []Action{Pulse{}}},
		{mail: `pool_grow {"n": 3}`, reply: `{"ok":"pool will grow"}`, actions: []Action{Resize{Slots: 5}}},
		{mail: `pool_shrink {}`, reply: `{"ok":"pool will shrink"}`, actions: []Action{Resize{Slots: 1}}},
		{mail: `pool_shrink {"n": "2"}`, reply: `{"error":"ValueError(\"Can't shrink pool. All processes busy!\")"}`},
		{mail: `pool_grow {}`, change: func(f *fake) { f.scaled = true }, reply: `{"error":"pool_grow is not supported with autoscale. Adjust autoscale range instead."}`},
		{mail: `autoscale {"max": 4}`, change: func(f *fake) { f.scaled = true }, reply: `{"ok":"autoscale now max=4 min=2"}`, actions: []Action{Rescale{Max: 4, Min: 2}}},
		{mail: `autoscale {"max": 1}`, change: func(f *fake) { f.scaled = true }, reply: `{"error":"ValueError('cannot scale between 1 and 2')"}`},
		{mail: `autoscale {}`, reply: `{"error":"ValueError('Autoscale not enabled')"}`},
		{mail: `pool_restart {}`, reply: `{"error":"ValueError('Pool restarts not enabled')"}`},
		{mail: `pool_restart {}`, change: func(f *fake) { f.restarts = true }, reply: `{"ok":"reload started"}`, actions: []Action{RestartPool{}}},
		{mail: `shutdown {}`, reply: "none", actions: []Action{Shutdown{}}},
		{mail: `cancel_consumer {"queue": "q"}`, reply: `{"ok":"no longer consuming from q"}`, actions: []Action{CancelQueue{Queue: "q"}}},
		{mail: `election {"id": "1", "topic": "t"}`, reply: `null`},
	}
	for _, tt := range tests {
		t.Run(tt.mail, func(t *testing.T) {
			f := newFake()
			if tt.change != nil {
				tt.change(f)
			}
			a := Handle(f, parse(t, tt.mail))
			js, err := json.Marshal(a.Reply)
			if err != nil {
				t.Fatal(err)
			}
			if a.NoReply {
				js = []byte("none")
			}
			if string(js) != tt.reply {
				t.Errorf("replies %s", js)
			}
			if diff := cmp.Diff(tt.actions, a.Actions); diff != "" {
				t.Error(diff)
			}
			if a.Python == nil && tt.python != "" || a.Python != nil && a.Python.Op != tt.python {
				t.Errorf("Python is asked %+v", a.Python)
			}
		})
	}
}

func parse(t *testing.T, text string) Mail {
	t.Helper()
	var method string
	if _, err := fmt.Sscan(text, &method); err != nil {
		t.Fatal(err)
	}
	m, err := ReadBody(fmt.Appendf(nil, `{"method": %q, "arguments": %s}`, method, text[len(method):]))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestActiveTasksAreShownSafelyOnDemand(t *testing.T) {
	tasks := Handle(newFake(), parse(t, `active {"safe": true}`)).Reply.([]Task)
	if string(tasks[0].Args) != `"(1,)"` || string(tasks[0].Kwargs) != `"{}"` {
		t.Errorf("%s %s", tasks[0].Args, tasks[0].Kwargs)
	}
}

func TestMailsReachTheNodesThatTheyName(t *testing.T) {
	tests := []struct {
		name, fields string
		want         bool
	}{
		{"everybody", `"destination": null`, true},
		{"nobody in particular", `"destination": []`, true},
		{"this one", `"destination": ["x@h", "w@h"]`, true},
		{"another", `"destination": ["x@h"]`, false},
		{"destination before pattern", `"destination": ["x@h"], "pattern": "*", "matcher": "glob"`, false},
		{"a glob", `"pattern": "w@*", "matcher": "glob"`, true},
		{"a glob of a class", `"pattern": "[!x]@h", "matcher": "glob"`, true},
		{"another glob", `"pattern": "x*", "matcher": "glob"`, false},
		{"a regular expression from the beginning", `"pattern": "w", "matcher": "pcre"`, true},
		{"a regular expression in the middle", `"pattern": "@", "matcher": "pcre"`, false},
		{"a broken pattern", `"pattern": "(", "matcher": "pcre"`, false},
		{"an unknown matcher", `"pattern": "w", "matcher": "tea"`, false},
		{"a pattern without matcher", `"pattern": "x"`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Read(&celerymsg.Message{Body: fmt.Appendf(nil, `{"method": "ping", %s}`, tt.fields), Headers: []byte(`{"clock": 12}`)})
			if err != nil || m.Clock != 12 {
				t.Fatal(m, err)
			}
			if got := m.IsFor("w@h"); got != tt.want {
				t.Error(got)
			}
		})
	}
	if _, err := Read(&celerymsg.Message{Body: []byte("no JSON")}); err == nil {
		t.Error("nonsense is read")
	}
}

func TestReprIsPythons(t *testing.T) {
	for text, want := range map[string]string{
		`"it's"`: `"it's"`, `"both ' and \""`: `'both \' and "'`, `"a\nb\u0001"`: `'a\nb\x01'`, `{"b": [true, null, 1.5], "a": {}}`: `{'b': [True, None, 1.5], 'a': {}}`,
		`"žluť"`: `'žluť'`,
	} {
		if got := ReprJSON(json.RawMessage(text)); got != want {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
	}
}
