package options

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestTheEnvironmentBoundsWhatAWorkerRemembers(t *testing.T) {
	for _, c := range []struct {
		name, value string
		keepalive   time.Duration
		limit       int
		expires     time.Duration
		problem     string
	}{
		{name: "AUTOSCALE_KEEPALIVE", value: ""},
		{name: "AUTOSCALE_KEEPALIVE", value: " 2.5 ", keepalive: 2500 * time.Millisecond},
		{name: "AUTOSCALE_KEEPALIVE", value: "inf", keepalive: math.MaxInt64},
		{name: "AUTOSCALE_KEEPALIVE", value: "0", problem: "above 0"},
		{name: "AUTOSCALE_KEEPALIVE", value: "soon", problem: "AUTOSCALE_KEEPALIVE=soon"},
		{name: "CELERY_WORKER_REVOKES_MAX", value: "1_000", limit: 1000},
		{name: "CELERY_WORKER_REVOKES_MAX", value: "0", limit: math.MaxInt},
		{name: "CELERY_WORKER_REVOKES_MAX", value: "-1", problem: "CELERY_WORKER_REVOKES_MAX=-1"},
		{name: "CELERY_WORKER_REVOKES_MAX", value: "3.5", problem: "a number of task ids"},
		{name: "CELERY_WORKER_REVOKE_EXPIRES", value: "60", expires: time.Minute},
		{name: "CELERY_WORKER_REVOKE_EXPIRES", value: "0", expires: math.MaxInt64},
		{name: "CELERY_WORKER_REVOKE_EXPIRES", value: "nan", problem: "CELERY_WORKER_REVOKE_EXPIRES=nan"},
		{name: "CELERY_WORKER_REVOKE_EXPIRES", value: "-1e300", problem: "CELERY_WORKER_REVOKE_EXPIRES"},
	} {
		w := plainWorld
		w.Getenv = func(name string) string {
			if name == c.name {
				return c.value
			}
			return ""
		}
		plan, err := parse(t, nil, w)
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%s=%q: %v, want %q", c.name, c.value, err, c.problem)
			}
			continue
		}
		if cfg := plan.Config; err != nil || cfg.Keepalive != c.keepalive || cfg.RevokesMax != c.limit || cfg.RevokeExpires != c.expires {
			t.Errorf("%s=%q: %v, %v, %v, %v", c.name, c.value, cfg.Keepalive, cfg.RevokesMax, cfg.RevokeExpires, err)
		}
	}
}
