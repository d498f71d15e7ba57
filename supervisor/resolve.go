package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"crisper/supervisor/agent"
	"crisper/supervisor/native"
	"crisper/supervisor/pool"
)

// defaultKeepalive is Celery's (celery/worker/autoscale.py).
const defaultKeepalive = 30 * time.Second

// resolve lays the command line over what the app says, as Celery does.
func resolve(cfg Config, info agent.Info) (native.Config, error) {
	w := worker{info}
	slots := firstOf(cfg.Concurrency, w.number("concurrency"))
	if cfg.AutoscaleMax > 0 {
		slots = cfg.AutoscaleMin
	}
	p := cfg.Pool
	p.Slots = max(slots, 1)
	p.MaxTasks = firstOf(p.MaxTasks, w.number("max_tasks_per_child"))
	if p.MaxMemory == 0 {
		p.MaxMemory = int64(w.number("max_memory_per_child")) << 10 // Celery: KiB
	}
	out := native.Config{
		Pool: p, AutoscaleMax: cfg.AutoscaleMax, AutoscaleMin: cfg.AutoscaleMin, Keepalive: firstLimit(cfg.Keepalive, defaultKeepalive),
		PrefetchMultiplier: cfg.PrefetchMultiplier, DisablePrefetch: cfg.DisablePrefetch || w.conf("worker_disable_prefetch"),
		ETALimit: w.limit("worker_eta_task_limit"), RevokesMax: cfg.RevokesMax, RevokeExpires: cfg.RevokeExpires,
		SoftLimit: firstLimit(cfg.SoftTimeLimit, w.seconds("soft_time_limit")), HardLimit: firstLimit(cfg.TimeLimit, w.seconds("time_limit")),
		PoisonLimit: cfg.PoisonLimit, Grace: cfg.Grace, GraceMargin: cfg.GraceMargin, OnCutoff: cfg.OnCutoff,
		OOMScoreAdj: cfg.OOMScoreAdj, Depth: cfg.Depth, StuckAfter: cfg.StuckAfter,
		Remote:      w.remote(),
		WatchMemory: p.MaxMemory > 0 || p.MemoryKill > 0, Purge: cfg.Purge,
	}
	if out.PrefetchMultiplier < 0 {
		out.PrefetchMultiplier = w.number("prefetch_multiplier")
	}
	return out, problems(out)
}

func problems(c native.Config) error {
	var all []error
	if c.Grace > 0 && c.GraceMargin >= c.Grace {
		all = append(all, fmt.Errorf("cannot keep a margin of %s within a grace of %s", c.GraceMargin, c.Grace))
	}
	if c.OnCutoff != "fail" && c.OnCutoff != "requeue" {
		all = append(all, fmt.Errorf("cannot understand --on-cutoff=%s: say fail or requeue", c.OnCutoff))
	}
	if c.AutoscaleMax > 0 && c.AutoscaleMin > c.AutoscaleMax {
		all = append(all, fmt.Errorf("cannot autoscale between %d and %d: the first number is the maximum", c.AutoscaleMax, c.AutoscaleMin))
	}
	_, err := pool.New(c.Pool, func() float64 { return 0 })
	return errors.Join(append(all, err)...)
}

// worker reads the values that Celery's WorkController resolved.
type worker struct{ info agent.Info }

func (w worker) number(name string) int {
	return int(asNumber(w.info.Worker[name]))
}

func (w worker) seconds(name string) time.Duration {
	return time.Duration(asNumber(w.info.Worker[name]) * float64(time.Second))
}

// asNumber is a number, also one that is written as text, as settings from the
// environment are; 0: there is none.
func asNumber(raw json.RawMessage) float64 {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	var f float64
	if json.Unmarshal(raw, &f) != nil {
		return 0
	}
	return f
}

func (w worker) conf(name string) bool {
	var b bool
	return json.Unmarshal(w.info.Conf[name], &b) == nil && b
}

// limit is a number of the app's settings; 0: none.
func (w worker) limit(name string) int {
	return max(0, int(asNumber(w.info.Conf[name])))
}

func firstOf(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}

func firstLimit(a, b time.Duration) time.Duration {
	if a != 0 {
		return a
	}
	return b
}
