package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"crisper/broker"
	"crisper/supervisor/agent"
)

// reloaded loads the app again, with a zygote that says this, and tells what the worker
// thinks of it when it has heard of it.
func (w *world) reloaded(said agent.ZygoteEvent, judge func(agent.Info) error) (why string) {
	w.t.Helper()
	next := newFakeZygote(w)
	next.events <- said
	heard := make(chan struct{})
	w.runtime.loop.post(asked{func(l *loop) {
		l.deps.Launch = func(context.Context, int) (Zygote, error) { return next, nil }
		l.deps.Judge = judge
		l.reload()
		if !l.loading() {
			w.t.Error("nothing is loading after the order to reload")
		}
		close(heard)
	}})
	<-heard
	done := make(chan struct{})
	loading := true
	for loading {
		w.runtime.loop.post(asked{func(l *loop) {
			why, loading = l.reloadError, l.loading()
			done <- struct{}{}
		}})
		<-done
	}
	return why
}

func TestAReloadThatCannotTakeOverChangesNothingAndIsSaid(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	w.publish("early", 1)
	w.broker.until(t, "the first task", func() bool { return w.broker.verdicts(broker.Ack) == 1 })

	info := agent.Info{Hostname: "celery@test", Tasks: catalogue(), Accept: []string{"application/json"}}
	needy := info
	needy.Needs = []string{"the app adds worker bootsteps: x:Y"}
	judge := func(info agent.Info) error {
		if len(info.Needs) > 0 {
			return errors.New(info.Needs[0])
		}
		return nil
	}
	for i, c := range []struct {
		name string
		said agent.ZygoteEvent
		want string
	}{
		{"it needs another runtime", agent.LoadedEvent{Info: needy}, "restart the worker to have the change: the app adds worker bootsteps: x:Y"},
		{"it does not load", agent.FailedEvent{Err: errors.New("no module named y")}, "the app did not load"},
		{"it dies", agent.ExitedEvent{Status: "signal 9"}, "the zygote left (signal 9)"},
	} {
		why := w.reloaded(c.said, judge)
		if !strings.Contains(why, c.want) {
			t.Errorf("%s: %q, want %q", c.name, why, c.want)
		}
		w.publish("early", 1)
		w.broker.until(t, fmt.Sprint("a task after ", c.name), func() bool { return w.broker.verdicts(broker.Ack) == i+2 })
	}
	var shown struct {
		ReloadError string `json:"reload_error"`
	}
	seen := make(chan struct{})
	w.runtime.loop.post(asked{func(l *loop) {
		js, err := json.Marshal(l.state())
		if err == nil {
			err = json.Unmarshal(js, &shown)
		}
		if err != nil || !strings.Contains(shown.ReloadError, "the zygote left") {
			t.Errorf("the state says %q (%v)", shown.ReloadError, err)
		}
		close(seen)
	}})
	<-seen
	if why := w.reloaded(agent.LoadedEvent{Info: info}, judge); why != "" {
		t.Errorf("after a reload that took over the state says %q", why)
	}
}
