package supervisor

import (
	"encoding/json"
	"time"

	"crisper/supervisor/native"
)

// remote is what the app says about events and remote control.
func (w worker) remote() native.RemoteConfig {
	r := native.RemoteConfig{
		Events: w.flag("task_events"), Exchange: w.text("event_exchange", "celeryev"),
		Mingle: !w.flag("without_mingle"), Restarts: w.conf("worker_pool_restarts"),
		Limits: !w.flag("disable_rate_limits"), StateDB: w.value("statedb"),
	}
	if w.conf("worker_enable_remote_control") {
		r.Control = w.text("control_exchange", "celery")
	}
	if !w.flag("without_heartbeat") {
		// Celery: `interval or 2.0` (worker/heartbeat.py, 5.7).
		r.Heartbeat = firstLimit(w.seconds("heartbeat_interval"), 2*time.Second)
	}
	return r
}

func (w worker) flag(name string) bool {
	var b bool
	return json.Unmarshal(w.info.Worker[name], &b) == nil && b
}

func (w worker) value(name string) string {
	var s string
	_ = json.Unmarshal(w.info.Worker[name], &s) // None is nothing
	return s
}

func (w worker) text(setting, otherwise string) string {
	var s string
	if json.Unmarshal(w.info.Conf[setting], &s) != nil || s == "" {
		return otherwise
	}
	return s
}
