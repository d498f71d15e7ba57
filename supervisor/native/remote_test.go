package native

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"crisper/broker"
	"crisper/supervisor/agent"
	"crisper/supervisor/control"
)

func TestWhatWaitsForItsRateGoesBackInADrain(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Remote.Limits = true }, map[string]agent.Task{"slow": {RateLimit: json.RawMessage(`"1/h"`)}})
	w.publish("slow", 4)
	w.broker.until(t, "one has run", func() bool { return w.broker.verdicts(broker.Ack) == 1 })
	w.signals <- syscall.SIGTERM
	if exit := w.leave(); exit != 0 {
		t.Errorf("exit %d", exit)
	}
	w.broker.until(t, "three are back", func() bool { return len(w.broker.queue) == 3 && len(w.broker.held) == 0 })
}

func TestALimitThatIsTakenOffReleasesWhatWaits(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Remote.Limits = true }, map[string]agent.Task{"slow": {RateLimit: json.RawMessage(`"1/h"`)}})
	w.publish("slow", 4)
	w.broker.until(t, "one has run", func() bool { return w.broker.verdicts(broker.Ack) == 1 })
	w.runtime.loop.post(asked{func(l *loop) { l.setRate(l.kindOf("slow"), 0) }})
	w.broker.until(t, "all have run", func() bool { return w.broker.verdicts(broker.Ack) == 4 })
}

func TestWithoutRateLimitsARateIsNoLimit(t *testing.T) {
	w := newWorld(t, nil, map[string]agent.Task{"slow": {RateLimit: json.RawMessage(`"1/h"`)}})
	w.publish("slow", 4)
	w.broker.until(t, "all have run", func() bool { return w.broker.verdicts(broker.Ack) == 4 })
}

func TestARevokedTaskThatWaitsIsNotRun(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Pool.Slots = 1 }, map[string]agent.Task{"any": {}})
	w.runtime.loop.post(asked{func(l *loop) { l.revoke(control.Revoke{IDs: []string{"task-2"}}) }})
	w.publish("any", 3)
	w.broker.until(t, "all are acknowledged", func() bool { return w.broker.verdicts(broker.Ack) == 3 })
	w.zygote.mu.Lock()
	defer w.zygote.mu.Unlock()
	if w.zygote.ran["task-2"] != 0 || w.zygote.ran["task-1"] != 1 || !slices.Contains(w.zygote.asked, agent.OpRevoked) {
		t.Errorf("ran %v, asked %v", w.zygote.ran, w.zygote.asked)
	}
}

func TestStateIsWrittenWholeAndABrokenFileIsNotOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if _, found, err := loadState(path); found || err != nil {
		t.Error(found, err)
	}
	want := saved{Version: 1, Clock: 9, Revoked: []string{"a", "b"}}
	if err := writeState(path, want); err != nil {
		t.Fatal(err)
	}
	got, found, err := loadState(path)
	if err != nil || !found || got.Clock != 9 || !slices.Equal(got.Revoked, want.Revoked) {
		t.Errorf("%+v %v %v", got, found, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("%d files", len(left))
	}
	if err := os.WriteFile(stateFile(path), []byte(`{"version": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := loadState(path); err == nil {
		t.Error("a file of another version is taken for one of ours")
	}
	if err := writeState(filepath.Join(path, "no", "such", "directory"), want); err == nil {
		t.Error("written nowhere")
	}
}

func TestWhatIsRevokedIsKeptAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	w := newWorld(t, func(c *Config) { c.Remote.StateDB = path }, map[string]agent.Task{"any": {}})
	w.runtime.loop.post(asked{func(l *loop) { l.revoke(control.Revoke{IDs: []string{"x"}}) }})
	w.publish("any", 1)
	w.broker.until(t, "one has run", func() bool { return w.broker.verdicts(broker.Ack) == 1 })
	w.signals <- syscall.SIGTERM
	w.leave()
	if s, found, err := loadState(path); err != nil || !found || !slices.Equal(s.Revoked, []string{"x"}) {
		t.Errorf("%+v %v %v", s, found, err)
	}
}
